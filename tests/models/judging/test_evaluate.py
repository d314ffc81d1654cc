"""A model and the yardstick are judged on the same pictures, cut alike, and shown side by side."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.bundle import open_bundle
from models.data.datasets import Item
from models.data.held import good_items
from models.judging import evaluate, yardstick
from models.judging.yardstick import Built, build
from models.training.train import read_run, train
from tests.models.tiny import DEFECTIVE_TEST, GOOD_TEST, write_tiny
from tests.models.workshop import run_lab

BUNDLE = Path(evaluate.__file__).parents[1] / "bundles" / "elpv"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def teacher(data: Path) -> Path:
    """Hardly trained."""
    out = data.parent / "teacher"
    train("decodiff", [data], "nano", out, images=8)
    return out


@pytest.mark.slow
def test_the_yardstick_s_row_stands_beside_the_model_s(data: Path, teacher: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    output = run_lab("evaluate", teacher, "--data", data, "--json", file, "--report", tmp_path)
    found = json.loads(file.read_text())
    standing, own = found.pop("standing"), found.pop("yardstick")
    assert own.keys() - found.keys() == {"build_minutes"}
    assert own["build_minutes"] > 0
    for name, one in (("model", found), ("yardstick", own)):
        assert standing[f"{name}_auroc"] == pytest.approx(one["image_auroc"], abs=1e-6)
        assert one["images"] == GOOD_TEST + DEFECTIVE_TEST
        assert f"{one['image_auroc']:.4f}" in output
        assert f"{one['aupro_03']:.4f}" in output
    assert own["image_auroc"] == 1.0  # a black line in a weave is easy
    assert re.search(r"the model ranks \w.* a plain memory of good parts: image AUROC", output)
    assert standing["difference"][0] <= found["image_auroc"] - 1.0 <= standing["difference"][1]
    for folder in (tmp_path, tmp_path / "yardstick"):
        assert {"curves.png", "worst.png"} <= {path.name for path in folder.iterdir()}


def test_without_the_yardstick_the_figures_are_the_model_s_alone(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    output = run_lab("evaluate", teacher, "--data", data, "--no-yardstick", "--json", file)
    assert json.loads(file.read_text())["images"] == GOOD_TEST + DEFECTIVE_TEST
    assert "yardstick" not in output
    assert "memory" not in output


def test_a_test_split_alone_is_judged_by_the_model_and_the_rest_is_said(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    shutil.copytree(data / "test", tmp_path / "only" / "test")
    shutil.copytree(data / "ground_truth", tmp_path / "only" / "ground_truth")
    output = run_lab("evaluate", teacher, "--data", tmp_path / "only", "--json", tmp_path / "figures.json")
    assert "no memory of good parts to hold the model against:" in output
    assert "standing" not in json.loads((tmp_path / "figures.json").read_text())


@pytest.mark.slow
def test_the_yardstick_remembers_what_training_saw_and_chooses_on_what_was_held_back(
    data: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[Item], list[Item]]] = []

    def building(kept: list[Item], held: list[Item], *rest: object) -> Built:
        seen.append((kept, held))
        return build(kept, held, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(yardstick, "build", building)
    evaluate.evaluate_yardstick(teacher, data)
    assert seen == [good_items([data])]
    assert seen[0][1]


@pytest.mark.slow
def test_the_yardstick_judges_the_model_s_pictures_at_the_model_s_scale(data: Path, teacher: Path) -> None:
    _, of_model = evaluate.evaluate(teacher, data)
    _, of_yardstick, _ = evaluate.evaluate_yardstick(teacher, data)
    for one, other in zip(of_model, of_yardstick, strict=True):
        assert one.item == other.item
        assert np.array_equal(one.picture, other.picture)
        assert one.map.shape == other.map.shape
        assert one.score != other.score


def test_a_run_and_a_bundle_say_how_frames_become_tiles(teacher: Path) -> None:
    assert evaluate.input_of(teacher) == read_run(teacher).input
    assert evaluate.input_of(BUNDLE) == open_bundle(BUNDLE).manifest.input
