"""Another recipe takes over between two frames: over window borders, within a part, and under load."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.cameras.life import Life, Patience
from agent.cameras.simulated.linescan import LinescanSimCamera
from agent.cameras.supervisor import Supervisor
from agent.clock import SystemClock
from agent.engines.engine import Answer
from agent.line.capture import Capture
from agent.line.line import HOLD_S, Line
from agent.line.recipe import Recipe, RecipeError
from agent.line.taught import Taught
from agent.messages import Frame, Pixels
from agent.settings.camera import Camera, LinescanSimSource
from agent.settings.web import Web
from agent.track.track import make_track
from tests.agent.line.recipes import recipe, rules
from tests.agent.line.records import Desk, desk, verdicts
from tests.brokers import DEADLINE_S, eventually
from tests.fakes import FakeEngine, bad_picture, fault, frame, good_picture

LINES = 32
AT_END, AT_START = bad_picture(spots=((8, 28, 8, 4),)), bad_picture(spots=((8, 0, 8, 4),))


class Meanwhile(FakeEngine):
    """Lets something happen while it judges."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        answer = FakeEngine.run(self, tiles, restored=restored)
        self.meanwhile()
        return answer


OLD_ENGINE = Meanwhile(name="old")
OLD = recipe(OLD_ENGINE, sha256="0a" * 32, revision=1, judged_by=rules(max_windows=4))
NEW = recipe(
    FakeEngine(name="new"), sha256="0b" * 32, revision=2, judged_by=rules(max_windows=4, threshold=0.9)
)


class Station:
    """A line that judges by OLD, and a ring that the test fills."""

    def __init__(self, path: Path, at: Desk) -> None:
        self.path, self.desk = path, at
        self.capture = Capture("accountable", ring_frames=64)
        self.taught = Taught("Camera top", bundle="cells", at_least=1)
        self.line = Line(
            camera="top",
            capture=self.capture,
            recipe=OLD,
            publisher=at.publisher,
            clock=at.clock,
            taught=self.taught,
        )

    def judge(self, *frames: Frame) -> None:
        for one in frames:
            self.capture.put(one)
            self.line.step()

    def records(self) -> list[dict[str, Any]]:
        self.desk.settle()
        return verdicts(self.path)

    def engines(self) -> list[str]:
        return [one["model"]["engine"] for one in self.records()]


def window(number: int, picture: Pixels) -> Frame:
    return replace(frame(number, picture), first_line=number * LINES)


def piece(number: int, *, goes_on: bool) -> Frame:
    return replace(window(number, good_picture()), is_partial=True, goes_on=goes_on)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Station]:
    path = tmp_path / "outbox.sqlite3"
    with desk(path) as at:
        yield Station(path, at)


def test_a_record_says_model_settings_threshold_and_engine_of_the_recipe_that_judged(one: Station) -> None:
    one.judge(frame(0, good_picture()))
    one.line.take_over(NEW)
    one.judge(frame(1, good_picture()))
    first, second = one.records()
    assert (first["model"]["sha256"], second["model"]["sha256"]) == ("0a" * 32, "0b" * 32)
    assert (first["settings"]["version"], second["settings"]["version"]) == (1, 2)
    assert [record["score"]["threshold"] for record in (first, second)] == pytest.approx([0.5, 0.9])
    assert one.engines() == ["old", "new"]
    assert one.line.recipe is NEW


def test_a_window_that_waits_for_its_defect_is_recorded_by_its_own_recipe_before_the_next_is_judged(
    one: Station,
) -> None:
    one.judge(window(0, AT_END))
    assert one.records() == []
    one.line.take_over(NEW)
    one.judge(window(1, AT_START), window(2, good_picture()))
    first, second, _ = one.records()
    assert one.engines() == ["old", "new", "new"]
    assert first["defects"][0]["bbox_web"] is None
    assert (len(second["defects"]), second["continued_from_line"]) == (1, None)


def test_a_line_without_triggers_changes_too_and_records_what_waits(one: Station) -> None:
    one.judge(window(0, AT_END))
    one.line.take_over(NEW)
    assert one.line.step() is None
    assert one.line.recipe is NEW and one.engines() == ["old"]


def test_a_recipe_that_comes_while_a_window_is_judged_has_no_part_in_it(one: Station) -> None:
    """The window's grey spot is a defect by the old recipe alone, which joins it to the one before."""
    end, start = (np.where(picture == 255, 200, picture).astype(np.uint8) for picture in (AT_END, AT_START))
    one.judge(window(0, end))
    try:
        OLD_ENGINE.meanwhile = lambda: one.line.take_over(NEW)
        one.judge(window(1, start))
    finally:
        OLD_ENGINE.meanwhile = lambda: None
    one.judge(window(2, end))
    first, second, third = one.records()
    assert [record["verdict"] for record in (first, second, third)] == ["fail", "fail", "pass"]
    assert [record["settings"]["version"] for record in (first, second, third)] == [1, 1, 2]
    assert first["defects"][0]["bbox_web"] == [8, 28, 8, 8]
    assert (second["defects"], second["continued_from_line"]) == ([], 0)


def test_a_part_that_comes_in_pieces_is_judged_by_one_recipe(one: Station) -> None:
    one.judge(piece(0, goes_on=True))
    one.line.take_over(NEW)
    one.capture.put(fault(1))
    one.line.step()
    one.judge(piece(2, goes_on=True), piece(3, goes_on=False), piece(4, goes_on=False))
    assert one.engines() == ["old", "old", "old", "old", "new"]


def test_a_part_that_does_not_end_is_not_waited_for_longer_than_the_line_waits_for_anything(
    one: Station,
) -> None:
    one.judge(piece(0, goes_on=True))
    one.line.take_over(NEW)
    one.desk.clock.advance(HOLD_S - 1)
    one.judge(piece(1, goes_on=True))
    one.desk.clock.advance(2)
    one.judge(piece(2, goes_on=True))
    assert one.engines() == ["old", "old", "new"]


def test_what_was_not_judged_names_the_recipe_in_force_when_it_was_recorded(one: Station) -> None:
    one.capture.put(fault(0))
    one.line.take_over(NEW)
    one.line.step()
    one.judge(frame(1, np.zeros((8, 8, 2), np.uint8)))
    assert [record["settings"]["version"] for record in one.records()] == [2, 2]
    assert one.engines() == ["new", "new"]


def test_a_recipe_without_rules_for_this_camera_is_refused_and_the_one_in_force_stays(one: Station) -> None:
    with pytest.raises(RecipeError, match="no rules for camera top, only for side"):
        one.line.take_over(recipe(cameras=("side",)))
    one.judge(frame(0, good_picture()))
    assert one.line.recipe is OLD and one.engines() == ["old"]


def test_a_warning_by_the_old_recipe_ends_with_it(one: Station) -> None:
    one.judge(frame(0, np.full((32, 32, 1), 200, np.uint8)))
    assert "what the bundle cells was taught" in (one.taught.words() or "")
    one.line.take_over(recipe(name="metal", judged_by=rules(threshold=0.9)))
    one.judge(frame(1, good_picture()))
    assert one.taught.words() is None
    one.judge(*[frame(number, np.full((32, 32, 1), 255, np.uint8)) for number in (2, 3)])
    assert "what the bundle metal was taught" in (one.taught.words() or "")


RATE_HZ = 200.0
HELD_UP_S = 60.0  # so long a busy machine may have no time for the line: no frame is lost by that


class Belt:
    """A line under load: windows of a simulated belt at RATE_HZ, each in a thread as the agent has it."""

    def __init__(self, folder: Path, at: Desk, first: Recipe) -> None:
        picture = folder / "picture.png"
        cv2.imwrite(str(picture), bad_picture(320, 64, spots=((8, 20, 8, 200),)))
        source = LinescanSimSource(path=picture, line_rate_hz=LINES * RATE_HZ, height=LINES)
        clock = SystemClock()
        self.capture = Capture("accountable", ring_frames=round(RATE_HZ * HELD_UP_S))
        self.line = Line(
            camera="top", capture=self.capture, recipe=first, publisher=at.publisher, clock=clock
        )
        self._camera = Supervisor(
            name="top",
            make=lambda: LinescanSimCamera("top", [picture], source, clock),
            make_track=lambda: make_track(Camera(source=source, web=Web(window_lines=LINES))),
            life=Life(Patience(), random.Random(1)),
            ring=self.capture,
            clock=clock,
            report=lambda state, detail: None,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        threads = [threading.Thread(target=one, args=(stop,)) for one in (self._camera.run, self.line.run)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE_S)
        assert not any(thread.is_alive() for thread in threads)

    def judged(self, path: Path) -> list[dict[str, Any]]:
        """The records, of which none is missing or there twice, but for those after the stop."""
        found = verdicts(path)
        assert self.capture.overloaded == 0
        assert [one["sequence"] for one in found] == list(range(1, self.capture.received + 1))
        assert [one["frame"]["id"] for one in found] == list(range(self.capture.received))
        return [one for one in found if one["reason"] != "stopped"]


def kind(number: int) -> Recipe:
    """Of four that differ in everything."""
    return recipe(
        FakeEngine(tile_px=32 + 16 * number, name=f"engine{number}"),
        sha256=f"{number:064x}",
        revision=number,
        tile_px=32 + 16 * number,
        judged_by=rules(threshold=(number + 1) / 8, max_windows=number + 1),
    )


def test_swaps_at_rate_cost_no_frame_and_mix_no_two_recipes(tmp_path: Path) -> None:
    recipes = [kind(number) for number in range(4)]
    path = tmp_path / "outbox.sqlite3"
    with desk(path) as at:
        belt = Belt(tmp_path, at, recipes[0])
        with belt.running():
            for wanted in itertools.cycle(recipes):
                belt.line.take_over(wanted)
                time.sleep(0.002)  # the rate of the swaps, not a wait for anything
                if at.outbox.last_sequence() >= 300:
                    break
        at.settle()
    judged = belt.judged(path)
    assert {one["verdict"] for one in judged} == {"pass", "fail"}
    seen = {
        (
            one["model"]["sha256"],
            one["settings"]["version"],
            one["model"]["engine"],
            one["score"]["threshold"],
        )
        for one in judged
    }
    assert seen == {(f"{n:064x}", n, f"engine{n}", (n + 1) / 8) for n in range(len(recipes))}


def test_engines_of_a_recipe_that_is_no_longer_in_force_can_be_closed(tmp_path: Path) -> None:
    path, old = tmp_path / "outbox.sqlite3", kind(0)
    with desk(path) as at:
        belt = Belt(tmp_path, at, old)
        with belt.running():
            for number in range(1, 60):
                new = kind(number % 4)
                belt.line.take_over(new)
                eventually(lambda new=new: belt.line.recipe is new, "the new recipe is in force")
                old.engine.close()
                old = new
        at.settle()
    assert {one["verdict"] for one in belt.judged(path)} <= {"pass", "fail"}
