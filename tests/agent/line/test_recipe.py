"""A recipe is opened whole or not at all, and its digest tells what decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.choice import Machine
from agent.line.recipe import Recipe, make_recipe
from agent.settings.camera import Camera, LinescanSimSource
from agent.settings.settings import Crops, Engine, Judge, Outbox, Settings
from agent.settings.web import Web
from tests.agent.engines.small_bundle import THRESHOLD, write_small
from tests.agent.line.recipes import recipe, rules
from tests.fakes import FakeEngine

MACHINE = Machine(gpu=None, gpu_problem=None, modules=frozenset({"openvino"}))


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    yield open_bundle(write_small(tmp_path / "small"))


def wanted(folder: Path) -> Settings:
    return Settings(
        revision=7,
        bundle=folder / "small",
        engine=Engine(kind="openvino", precision="f32", threads=1),
        outbox=Outbox(path=folder / "outbox.sqlite3"),
    )


def test_a_recipe_says_what_bundle_and_settings_say(bundle: Bundle) -> None:
    cameras = (
        Camera(name="top"),
        Camera(
            name="side",
            source=LinescanSimSource(path=Path("strip")),
            web=Web(window_lines=64, max_invalid_ratio=0.3, max_windows_per_defect=3),
        ),
    )
    told = Settings(revision=7, cameras=cameras, judge=Judge(min_area_px=9), crops=Crops(margin_px=3))
    made = make_recipe(told, bundle, FakeEngine())
    assert (made.bundle, made.bundle_sha256, made.input) == ("small", bundle.sha256, bundle.manifest.input)
    assert (made.settings.version, made.settings.sha256) == (7, told.digest())
    assert made.crops == told.crops
    top, side = made.rules_of("top"), made.rules_of("side")
    assert (top.threshold, top.stride_px, top.scale, top.min_area_px) == (THRESHOLD, 4, 1.0, 9)
    assert side == replace(top, max_invalid_ratio=0.3, max_windows=3)


def test_a_threshold_of_the_settings_holds_in_every_precision_and_is_not_provisional(bundle: Bundle) -> None:
    few = bundle.manifest.threshold.model_copy(update={"provisional_rate": 0.1})
    provisional = replace(bundle, manifest=bundle.manifest.model_copy(update={"threshold": few}))
    by_bundle = make_recipe(Settings(), provisional, FakeEngine())
    assert (by_bundle.rules_of("top").threshold, by_bundle.provisional_rate_of("top")) == (THRESHOLD, 0.1)
    by_settings = make_recipe(Settings(judge=Judge(threshold=0.8)), provisional, FakeEngine())
    assert by_settings.provisional_rate_of("top") is None
    assert {by_settings.rules_of("top").threshold_in(one) for one in ("f32", "bf16", "int8")} == {0.8}


def test_recipes_have_one_digest_exactly_when_the_same_decides() -> None:
    assert recipe(FakeEngine(name="one")).digest == recipe(FakeEngine(name="other")).digest
    different: list[Recipe] = [
        recipe(),
        recipe(sha256="0c" * 32),
        recipe(revision=13),
        recipe(judged_by=rules(threshold=0.6)),
        recipe(judged_by=rules(calibrated={"bf16": 0.6})),
        recipe(judged_by=rules(max_windows=2)),
        recipe(crops=Crops(max_per_verdict=1)),
        recipe(cameras=("top",)),
    ]
    assert len({one.digest for one in different}) == len(different)
    assert all(len(bytes.fromhex(one.digest)) == 32 for one in different)
