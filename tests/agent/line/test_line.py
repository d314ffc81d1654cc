"""One step, one trigger, one record: whatever a frame, a fault or the engine does."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from agent.cameras.folder import FolderCamera
from agent.cameras.life import Life, Patience
from agent.cameras.supervisor import Supervisor
from agent.clock import SystemClock
from agent.engines.engine import EngineError
from agent.line.capture import Capture
from agent.line.line import Line
from agent.messages import Frame, FrameFault
from agent.settings.camera import Camera, FolderSource
from agent.track.track import make_track
from tests.agent.line.recipes import recipe
from tests.agent.line.records import Desk, desk, verdicts
from tests.brokers import DEADLINE_S
from tests.fakes import FakeEngine, bad_picture, fault, frame, good_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A line between a ring that the test fills and a real outbox."""

    line: Line
    capture: Capture
    engine: FakeEngine
    desk: Desk
    path: Path

    def outcome(self) -> list[tuple[int, str, str | None]]:
        """Trigger, verdict and reason of every record on disk, in the order of commits."""
        self.desk.settle()
        return [(one["frame"]["id"], one["verdict"], one["reason"]) for one in self.records()]

    def records(self) -> list[dict[str, Any]]:
        return verdicts(self.path)


def station(path: Path, at: Desk) -> Station:
    engine = FakeEngine()
    capture = Capture("accountable", ring_frames=64)
    line = Line(
        camera="top",
        capture=capture,
        recipe=recipe(engine),
        publisher=at.publisher,
        clock=at.clock,
    )
    return Station(line=line, capture=capture, engine=engine, desk=at, path=path)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Station]:
    path = tmp_path / "outbox.sqlite3"
    with desk(path) as at:
        yield station(path, at)


def test_a_good_frame_passes_and_a_bad_one_fails(one: Station) -> None:
    one.capture.put(frame(0, good_picture(70, 50)))
    one.capture.put(frame(1, bad_picture(70, 50)))
    passed, failed = one.line.step(), one.line.step()
    assert passed is not None and failed is not None
    assert (passed.verdict, failed.verdict) == ("pass", "fail")
    assert failed.defects[0].bbox_px == (8, 12, 8, 4) and failed.defects[0].crop is not None
    assert one.outcome() == [(0, "pass", None), (1, "fail", None)]


def test_a_fault_is_skipped_with_its_reason_and_the_engine_is_not_asked(one: Station) -> None:
    one.capture.put(fault(0, "overload"))
    assert one.line.step() is not None
    assert one.outcome() == [(0, "skipped", "overload")]
    assert one.engine.batches == []


@pytest.mark.parametrize("failure", [RuntimeError("out of memory"), EngineError("gone; restart")])
def test_a_frame_that_the_engine_fails_on_is_undecided_and_the_next_one_is_judged(
    one: Station, failure: Exception
) -> None:
    one.engine.failures = deque([failure])
    one.capture.put(frame(0, good_picture()))
    one.capture.put(frame(1, good_picture()))
    assert one.line.step() and one.line.step()
    assert one.outcome() == [(0, "undecided", "engine_error"), (1, "pass", None)]
    assert one.records()[0]["detail"] == str(failure)


@pytest.mark.parametrize(
    "image",
    [np.zeros((0, 32, 1), np.uint8), np.zeros((32, 32, 2), np.uint8), np.zeros((32, 32, 1), np.uint16)],
)
def test_a_frame_that_is_no_picture_is_undecided_and_the_next_one_is_judged(one: Station, image: Any) -> None:
    one.capture.put(frame(0, image))
    one.capture.put(frame(1, good_picture()))
    assert one.line.step() and one.line.step()
    assert one.outcome() == [(0, "undecided", "camera_error"), (1, "pass", None)]
    assert str(image.shape) in one.records()[0]["detail"]


def test_a_frame_with_too_many_lost_lines_is_undecided_though_it_looks_good(one: Station) -> None:
    torn = replace(frame(0, good_picture()), valid=np.arange(32) > 3, lines_lost=4)
    one.capture.put(torn)
    assert one.line.step() is not None
    assert one.outcome() == [(0, "undecided", "lost_lines")]
    assert one.records()[0]["is_partial"] is True


def test_a_step_without_a_trigger_records_nothing(one: Station) -> None:
    assert one.line.step() is None
    assert one.outcome() == []


TRIGGERS = st.lists(st.sampled_from(["good", "bad", "fault", "engine", "shape", "torn"]), max_size=12)
EXPECTED = {
    "good": ("pass", None),
    "bad": ("fail", None),
    "fault": ("skipped", "camera_error"),
    "engine": ("undecided", "engine_error"),
    "shape": ("undecided", "camera_error"),
    "torn": ("undecided", "lost_lines"),
}


def trigger(number: int, kind: str) -> Frame | FrameFault:
    if kind == "fault":
        return fault(number)
    if kind == "shape":
        return frame(number, np.zeros((8, 8, 2), np.uint8))
    if kind == "torn":
        return replace(frame(number, good_picture()), valid=np.arange(32) > 3, lines_lost=4)
    return frame(number, bad_picture() if kind == "bad" else good_picture())


@checked(max_examples=25)
@given(TRIGGERS)
def test_records_stand_in_the_order_of_triggers_without_a_gap(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    path = tmp_path_factory.mktemp("line") / "outbox.sqlite3"
    with desk(path) as at:
        made = station(path, at)
        for number, kind in enumerate(kinds):
            if kind == "engine":
                made.engine.failures = deque([RuntimeError("out of memory")])
            made.capture.put(trigger(number, kind))
            assert made.line.step() is not None
        assert made.outcome() == [(number, *EXPECTED[kind]) for number, kind in enumerate(kinds)]
        assert [record["sequence"] for record in made.records()] == list(range(1, len(kinds) + 1))
        assert made.desk.told() == tally([EXPECTED[kind][0] for kind in kinds])


def tally(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in names}


def test_run_ends_after_the_last_frame_of_a_finite_camera_is_recorded(one: Station, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(5):
        cv2.imwrite(str(frames / f"{number}.png"), bad_picture() if number == 3 else good_picture())
    (frames / "4.png").write_bytes(b"no picture")
    stop = threading.Event()
    running = threading.Thread(target=one.line.run, args=(stop,))
    running.start()
    Supervisor(
        name="top",
        make=lambda: FolderCamera("top", FolderSource(path=frames), SystemClock()),
        make_track=lambda: make_track(Camera()),
        life=Life(Patience(), random.Random(1)),
        ring=one.capture,
        clock=SystemClock(),
        report=lambda state, detail: None,
    ).run(stop)
    running.join(DEADLINE_S)
    assert not running.is_alive() and not stop.is_set()
    assert [verdict for _, verdict, _ in one.outcome()] == ["pass", "pass", "pass", "fail", "skipped"]


def test_run_ends_when_it_is_told_to(one: Station) -> None:
    stop = threading.Event()
    running = threading.Thread(target=one.line.run, args=(stop,))
    running.start()
    stop.set()
    one.capture.close()
    running.join(DEADLINE_S)
    assert not running.is_alive()


def test_what_still_waits_when_the_line_is_stopped_gets_its_record(one: Station) -> None:
    stop = threading.Event()
    one.capture.put(frame(0, good_picture()))
    one.capture.put(fault(1))
    stop.set()
    running = threading.Thread(target=one.line.run, args=(stop,))
    running.start()
    one.capture.put(frame(2, good_picture()))  # the camera's last one, on its way when the stop came
    one.capture.close()
    running.join(DEADLINE_S)
    assert not running.is_alive()
    assert one.outcome() == [
        (0, "skipped", "stopped"),
        (1, "skipped", "camera_error"),
        (2, "skipped", "stopped"),
    ]
    assert one.engine.batches == []
