"""A station's recipes on bundles that are open: switched without opening anything, kept over a restart."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agent.engines.serving
import agent.line.opened
from agent.bundle.files import BundleError
from agent.durable import unfinished_of
from agent.line.book import Known
from agent.line.capture import Capture
from agent.line.line import Line
from agent.line.opened import estimated_bytes
from agent.line.recipes import Recipes, SwitchError, UnknownRecipeError, open_recipes
from agent.settings.camera import Camera
from agent.settings.recipes import OfCamera, Recipe, Region
from agent.settings.settings import Crops, Judge, Settings
from agent.settings.web import Web
from tests.agent.engines.small_bundle import write_small
from tests.agent.line.records import Desk, desk, verdicts
from tests.agent.line.test_opened import bundles, running
from tests.brokers import eventually
from tests.fakes import frame

CORNERS = ((0.0, 0.0), (8.0, 0.0), (8.0, 8.0))


class Station:
    """One camera, its line, and the recipes of `wanted`."""

    def __init__(self, folder: Path, at: Desk, wanted: Settings) -> None:
        self.path, self.desk, self.frames = folder / "outbox.sqlite3", at, 0
        self.bundles = bundles(folder, lambda: self.recipes.needed())
        station, of_recipes = self.bundles.open(wanted.bundle), open_recipes(wanted, self.bundles)
        self.recipes = Recipes(wanted, self.bundles, station, of_recipes=of_recipes, path=folder / "switched")
        for one in (station, *of_recipes.values()):
            self.bundles.drop(one.sha256)
        self.capture = Capture("accountable", ring_frames=64)
        self.line = Line(
            camera="top",
            capture=self.capture,
            recipe=self.recipes.in_force,
            publisher=at.publisher,
            clock=at.clock,
        )
        self.recipes.serve({"top": self.line})

    def trigger(self, part_id: str | None = None) -> None:
        number, self.frames = self.frames, self.frames + 1
        grey = np.full((32, 32, 1), 160, np.uint8)  # a score of 0.63
        self.capture.put(replace(frame(number, grey), part_id=part_id))

    def judge(self, *part_ids: str | None) -> None:
        for one in part_ids:
            self.trigger(one)
            self.line.step()

    def records(self) -> list[dict[str, Any]]:
        self.desk.settle()
        found = verdicts(self.path)
        assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
        return found


def settings(folder: Path, *recipes: Recipe, **told: Any) -> Settings:
    return Settings(
        bundle=folder / "first", cameras=(Camera(name="top", **told),), recipes=recipes, revision=3
    )


def two(folder: Path) -> tuple[Recipe, Recipe]:
    """One on the station's bundle, with a threshold of 0.5, and one on its own, with 0.7."""
    return Recipe(name="one", parts=("A.*",)), Recipe(name="other", bundle=folder / "second")


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    write_small(tmp_path / "first", name="first")
    write_small(tmp_path / "second", name="second", raw=0.7)
    with desk(tmp_path / "outbox.sqlite3") as made:
        yield made


def test_each_recipe_judges_by_its_bundle_and_a_switch_says_which_judges_what_says_nothing(
    tmp_path: Path, at: Desk
) -> None:
    station = Station(tmp_path, at, settings(tmp_path, *two(tmp_path)))
    with running(station.bundles):
        station.judge("A1", "X1")
        station.recipes.switch("other")
        station.judge("A2", "X2", None)
        station.recipes.switch(None)
        station.judge("X3")
    records = station.records()
    assert [one["recipe_id"] for one in records] == ["one", "", "one", "other", "other", ""]
    assert [one["verdict"] for one in records] == ["fail", "undecided", "fail", "pass", "pass", "undecided"]
    assert [one["model"]["bundle"] for one in records if one["recipe_id"]] == ["first"] * 2 + ["second"] * 2
    assert {one["settings"]["version"] for one in records} == {3}


def test_an_unknown_name_switches_nothing_and_says_which_there_are(tmp_path: Path, at: Desk) -> None:
    station = Station(tmp_path, at, settings(tmp_path, *two(tmp_path)))
    with running(station.bundles):
        station.recipes.switch("other")
        with pytest.raises(UnknownRecipeError, match="no recipe 'none'; there are one, other"):
            station.recipes.switch("none")
        assert station.recipes.switched == "other"
        assert station.recipes.names == ("one", "other")


def test_what_was_switched_to_outlives_the_agent(tmp_path: Path, at: Desk) -> None:
    told = settings(tmp_path, *two(tmp_path))
    station = Station(tmp_path, at, told)
    station.recipes.switch("other")
    station.bundles.close()
    again = Station(tmp_path, at, told)
    assert again.recipes.switched == "other"
    again.bundles.close()
    without = Station(tmp_path, at, settings(tmp_path, Recipe(name="one", is_default=True)))
    without.judge("X1")
    assert without.records()[-1]["reason"] == "unknown_product"  # the default is not what was switched to
    assert "switched to is not in the settings; switch to one of one" in " ".join(without.recipes.words())
    without.bundles.close()


def test_a_switch_that_cannot_be_kept_or_read_judges_nothing_by_another_recipe(
    tmp_path: Path, at: Desk
) -> None:
    told = settings(tmp_path, *two(tmp_path), Recipe(name="usual", is_default=True))
    station = Station(tmp_path, at, told)
    unfinished_of(tmp_path / "switched").mkdir()
    with pytest.raises(SwitchError, match="nothing was switched"):
        station.recipes.switch("other")
    assert station.recipes.switched is None
    station.bundles.close()
    (tmp_path / "switched").write_bytes(b"\xff\xfe")
    again = Station(tmp_path, at, told)
    again.judge("X1")
    assert again.records()[-1]["reason"] == "unknown_product"
    again.bundles.close()


def test_settings_take_over_with_other_recipes_and_what_none_names_any_more_is_closed(
    tmp_path: Path, at: Desk
) -> None:
    told = settings(tmp_path, *two(tmp_path))
    station = Station(tmp_path, at, told)
    with running(station.bundles):
        own = OfCamera(camera="top", threshold=0.9)
        strict = told.recipes[0].model_copy(update={"cameras": (own,)})
        station.recipes.take_over(told.model_copy(update={"recipes": (strict, told.recipes[1])}))
        station.judge("A1")
        (record,) = station.records()
        assert (record["verdict"], record["score"]["threshold"]) == ("pass", pytest.approx(0.9))
        elsewhere = Recipe(name="third", bundle=tmp_path / "third")
        with pytest.raises(BundleError, match="third"):
            station.recipes.take_over(told.model_copy(update={"recipes": (elsewhere,)}))
        assert list(station.recipes.words()) == [] and station.recipes.settings.recipes[0] == strict
        station.judge("A2")
        assert station.records()[-1]["score"]["threshold"] == pytest.approx(0.9)
        station.recipes.take_over(told.model_copy(update={"recipes": ()}))
        station.judge("X1")
        assert station.records()[-1]["recipe_id"] == "default"
        with station.bundles.held() as there:
            names = {one.bundle.manifest.name for one in there.values()}
        assert names <= {"first", "second"}
        eventually(lambda: len(station.bundles._open) == 1, "the bundle that no recipe names is closed")


def test_a_bundle_that_a_recipe_names_anew_is_opened_beside_and_judges_from_the_next_part_on(
    tmp_path: Path, at: Desk
) -> None:
    write_small(tmp_path / "third", name="third", raw=0.2)
    told = settings(tmp_path, *two(tmp_path))
    third = Recipe(name="third", bundle=tmp_path / "third", parts=("C.*",))
    station = Station(tmp_path, at, told)
    with running(station.bundles):
        recipes = station.recipes
        before = recipes._book.choose(Known(part_id="A1")).recipe
        recipes.take_over(told.model_copy(update={"recipes": (*told.recipes, third)}))
        kept = recipes._book.choose(Known(part_id="A1")).recipe
        station.judge("A1", "C1")
        others, record = station.records()
        assert (others["verdict"], others["recipe_id"]) == ("fail", "one")
        assert (record["verdict"], record["reason"]) == ("undecided", "bundle_opening")
        assert (record["recipe_id"], record["model"]["bundle"]) == ("third", "third")
        assert [words for words in recipes.words() if "recipe third is being opened" in words]
        recipes._opener.turn()
        assert recipes._book.choose(Known(part_id="A1")).recipe is kept is not before
        station.judge("C1", "C2", "A2")  # C1 is the same part
        assert [one["reason"] for one in station.records()[2:]] == ["bundle_opening", None, None]
        assert station.records()[3]["score"]["threshold"] == pytest.approx(0.2)
        assert list(recipes.words()) == []
        recipes.take_over(told)
        station.judge("A3")
        digest = station.records()[3]["model"]["sha256"]
        eventually(lambda: digest not in station.bundles._open, "what no recipe names any more is closed")


def test_a_bundle_that_cannot_be_opened_is_told_of_and_no_other_recipe_waits(
    tmp_path: Path, at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = write_small(tmp_path / "third", name="third")
    (bad / "model.onnx").write_bytes(b"damaged")
    told = settings(tmp_path, *two(tmp_path))
    third = Recipe(name="third", bundle=bad, parts=("C.*",))
    station = Station(tmp_path, at, told)
    with running(station.bundles):
        station.recipes.take_over(told.model_copy(update={"recipes": (*told.recipes, third)}))
        station.recipes._opener.turn()
        station.judge("C1", "A1")
        refused, other = station.records()
        assert (refused["verdict"], refused["reason"]) == ("undecided", "no_model")
        assert "model.onnx" in refused["detail"] and other["verdict"] == "fail"
        assert ["model.onnx" in words for words in station.recipes.words()] == [True]
        write_small(tmp_path / "mended", name="third", raw=0.2)
        shutil.rmtree(bad)
        (tmp_path / "mended").rename(bad)
        station.recipes._opener.turn()
        station.judge("C2")
        assert station.records()[-1]["reason"] == "no_model"  # it is not tried all the time
        monkeypatch.setattr("agent.line.opening.AGAIN_S", 0.0)
        station.recipes._opener._again_s.clear()
        station.recipes._opener.turn()
        station.judge("C3")
        assert station.records()[-1]["verdict"] in ("pass", "fail")


def test_a_bundle_for_which_there_is_no_room_waits_until_others_are_closed(tmp_path: Path, at: Desk) -> None:
    write_small(tmp_path / "third", name="third", raw=0.2)
    first, second = two(tmp_path)
    station = Station(tmp_path, at, settings(tmp_path, first, second))
    with station.bundles.held() as there:
        taken = sum(estimated_bytes(one.bundle) for one in there.values())
    station.bundles._engine = station.bundles._engine.model_copy(update={"open_bundles_max_bytes": taken + 1})
    third = Recipe(name="third", bundle=tmp_path / "third", parts=("C.*",))
    told = settings(tmp_path, first, third)
    station.recipes.take_over(told)
    station.recipes._opener.turn()
    station.judge("C1")  # from here on the line does not judge by the other bundle
    (record,) = station.records()
    assert record["reason"] == "bundle_opening" and "open_bundles_max_bytes" in record["detail"]
    station.bundles.close_unused()
    station.recipes._opener._again_s.clear()
    station.recipes._opener.turn()
    station.judge("C2")
    assert station.records()[-1]["model"]["bundle"] == "third"
    station.bundles.close()


def test_a_rollout_changes_the_recipes_of_the_stations_bundle_alone(tmp_path: Path, at: Desk) -> None:
    station = Station(tmp_path, at, settings(tmp_path, *two(tmp_path)))
    with running(station.bundles):
        new = station.bundles.open(write_small(tmp_path / "new", name="new", raw=0.4))
        station.recipes.take_over_bundle(new.sha256)
        station.recipes.switch("other")
        station.judge("A1", "X1")
        assert [one["model"]["bundle"] for one in station.records()] == ["new", "second"]
        assert station.recipes.in_force.bundle == "second"  # what was switched to
        assert station.recipes.station.sha256 == new.sha256
        station.recipes.withdraw()
        station.judge("A2", "X2")
        records = station.records()[-2:]
        assert [one["reason"] for one in records] == ["no_model", None]
        assert records[1]["model"]["bundle"] == "second"


def test_a_recipe_says_what_it_has_of_its_own_and_the_rest_is_the_stations(tmp_path: Path, at: Desk) -> None:
    pixels = OfCamera(camera="top", threshold=0.6, min_area_px=5, ignore=(Region(corners=CORNERS),))
    millimetres = OfCamera(camera="top", ignore=(Region(unit="mm", corners=CORNERS),))
    told = settings(
        tmp_path,
        Recipe(name="a", cameras=(pixels,), crops=Crops(max_per_verdict=1)),
        Recipe(name="b", cameras=(millimetres,)),
        Recipe(name="c", bundle=tmp_path / "second"),
        web=Web(mm_per_px=0.5, mm_per_line=0.25),
    ).model_copy(update={"judge": Judge(threshold=0.3)})
    station = Station(tmp_path, at, told)
    book = {name: station.recipes._book.choose(Known(product=name)).recipe.rules_of("top") for name in "abc"}
    assert (book["a"].threshold, book["a"].min_area_px, book["a"].calibrated) == (0.6, 5, {})
    assert (book["b"].threshold, book["b"].min_area_px) == (0.3, told.judge.min_area_px)
    assert book["c"].threshold == 0.7  # the station's was set for the station's bundle
    assert book["a"].ignore is not None and book["a"].ignore.polygons == (CORNERS,)
    assert book["a"].ignore.top == 64
    assert book["b"].ignore is not None
    assert book["b"].ignore.polygons == (((0.0, 0.0), (16.0, 0.0), (16.0, 32.0)),)
    crops = [station.recipes._book.choose(Known(product=name)).recipe.crops for name in "ab"]
    assert [one.max_per_verdict for one in crops] == [1, told.crops.max_per_verdict]
    station.bundles.close()


def test_switches_under_load_open_nothing_on_the_lines_thread_and_lose_no_frame(
    tmp_path: Path, at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_in: list[str] = []

    def watched(name: str, module: Any) -> None:
        real = getattr(module, name)

        def call(*given: Any, **told: Any) -> Any:
            opened_in.append(threading.current_thread().name)
            return real(*given, **told)

        monkeypatch.setattr(module, name, call)

    watched("open_runtime", agent.engines.serving)
    watched("open_bundle", agent.line.opened)
    station = Station(tmp_path, at, settings(tmp_path, *two(tmp_path)))
    assert opened_in and set(opened_in) == {threading.current_thread().name}
    before = len(opened_in)
    stop, frames = threading.Event(), 400
    thread = threading.Thread(target=station.line.run, args=(stop,), name="line-top")
    with running(station.bundles):
        thread.start()
        for number in range(frames):
            while station.capture.waiting > 32:
                stop.wait(0.001)
            station.trigger(None)
            if number % 5 == 0:
                station.recipes.switch("one" if number % 10 else "other")
        eventually(lambda: station.capture.waiting == 0, "all frames are taken")
        stop.set()
        station.capture.close()
        thread.join()
    records = station.records()
    assert len(records) == frames and station.capture.overloaded == 0
    assert [one["frame"]["id"] for one in records] == list(range(frames))
    seen = {(one["recipe_id"], one["model"]["bundle"], one["verdict"]) for one in records[1:]}
    assert seen == {("one", "first", "fail"), ("other", "second", "pass")}
    assert len(opened_in) == before
