"""Windows of an endless web: a defect on their border is named once, and every window has its one record."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.engines.engine import EngineError
from agent.line.capture import Capture
from agent.line.line import HOLD_S, Line
from agent.messages import Frame, Pixels
from tests.agent.line.recipes import recipe, rules
from tests.agent.line.records import Desk, desk, verdicts
from tests.fakes import FakeEngine, bad_picture, fault, frame, good_picture

LINES = 32


class Station:
    """A line on an endless web whose windows the test puts into the ring."""

    def __init__(self, path: Path, at: Desk) -> None:
        self.path, self.desk = path, at
        self.engine = FakeEngine()
        self.capture = Capture("accountable", ring_frames=64)
        self.line = Line(
            camera="top",
            capture=self.capture,
            recipe=recipe(self.engine, judged_by=rules(max_windows=4)),
            publisher=at.publisher,
            clock=at.clock,
        )

    def put(self, *pictures: Pixels, start: int = 0) -> None:
        for number, picture in enumerate(pictures, start):
            self.capture.put(window(number, picture))

    def records(self) -> list[dict[str, Any]]:
        self.desk.settle()
        return verdicts(self.path)


def window(number: int, picture: Pixels) -> Frame:
    return replace(frame(number, picture), first_line=number * LINES)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Station]:
    path = tmp_path / "outbox.sqlite3"
    with desk(path) as at:
        yield Station(path, at)


AT_END, AT_START = bad_picture(spots=((8, 28, 8, 4),)), bad_picture(spots=((8, 0, 8, 4),))


def test_a_defect_on_the_border_is_one_defect_in_the_first_record(one: Station) -> None:
    one.put(AT_END, AT_START, good_picture())
    assert one.line.step() is None  # it waits
    assert one.line.step() is not None and one.line.step() is not None
    first, second, third = one.records()
    assert [record["verdict"] for record in (first, second, third)] == ["fail", "fail", "pass"]
    (defect,) = first["defects"]
    assert (defect["bbox_px"], defect["bbox_web"]) == ([8, 28, 8, 4], [8, 28, 8, 8])
    assert defect["area_px"] == 64 and defect["crop"] is not None
    assert (second["defects"], second["continued_from_line"]) == ([], 0)
    assert [record["sequence"] for record in (first, second, third)] == [1, 2, 3]


def test_a_trigger_without_a_picture_lets_what_waits_go_first(one: Station) -> None:
    one.put(AT_END)
    one.capture.put(fault(1))
    assert one.line.step() is None and one.line.step() is not None
    assert [(record["verdict"], len(record["defects"])) for record in one.records()] == [
        ("fail", 1),
        ("skipped", 0),
    ]


def test_a_frame_that_the_engine_fails_on_lets_what_waits_go_first(one: Station) -> None:
    one.put(AT_END)
    assert one.line.step() is None
    one.engine.failures.append(EngineError("gone"))
    one.put(AT_START, start=1)
    assert one.line.step() is not None
    assert [record["verdict"] for record in one.records()] == ["fail", "undecided"]


def test_a_belt_that_stands_does_not_keep_a_record_for_ever(one: Station) -> None:
    one.put(AT_END)
    assert one.line.step() is None and one.line.step() is None
    assert one.records() == []
    one.desk.clock.advance(HOLD_S + 1)
    assert one.line.step() is not None
    assert [len(record["defects"]) for record in one.records()] == [1]


@pytest.mark.parametrize("told_to_stop", [True, False])
def test_the_end_of_a_web_releases_what_waits(one: Station, told_to_stop: bool) -> None:
    stop = threading.Event()
    one.put(AT_END)
    assert one.line.step() is None
    one.capture.close()
    if told_to_stop:
        stop.set()
    one.line.run(stop)
    assert [record["verdict"] for record in one.records()] == ["fail"]
