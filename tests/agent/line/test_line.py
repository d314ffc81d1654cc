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
from agent.contract.arguments import Bind
from agent.contract.payloads import Hold
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


def station(path: Path, at: Desk, **parts: Any) -> Station:
    engine = FakeEngine()
    capture = Capture("accountable", ring_frames=64)
    line = Line(
        camera="top",
        capture=capture,
        recipe=recipe(engine),
        publisher=at.publisher,
        clock=at.clock,
        **parts,
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


def test_where_a_part_must_be_named_a_trigger_without_one_is_undecided_and_keeps_its_score(
    tmp_path: Path,
) -> None:
    with desk(tmp_path / "outbox.sqlite3", parts_required=("top",)) as at:
        one = station(tmp_path / "outbox.sqlite3", at)
        pictures = [good_picture(70, 50), bad_picture(70, 50), good_picture(70, 50), bad_picture(70, 50)]
        for number, picture in enumerate(pictures):
            one.capture.put(replace(frame(number, picture), part_id=None))
        one.capture.put(replace(frame(4, good_picture(70, 50)), part_id="SN-0"))
        one.capture.put(fault(5, "overload"))
        for number in range(6):
            if number == 2:
                at.bindings.bind(Bind(part_id="SN-1", applies_to="until_changed"), 0)
            if number == 4:
                at.bindings.bind(Bind(part_id=None), 0)
            assert one.line.step() is not None
        assert one.outcome() == [
            (0, "undecided", "part_missing"),
            (1, "undecided", "part_missing"),
            (2, "pass", None),
            (3, "fail", None),
            (4, "pass", None),
            (5, "skipped", "overload"),
        ]
        missing = one.records()[1]
        assert missing["score"]["normalized"] > 100 and missing["defects"][0]["crop"] is not None
        assert "part_required" in missing["detail"] and missing["result_evaluation"] == "NotDecidable"


def test_a_trigger_that_was_captured_in_a_pause_is_skipped_and_says_who_paused_and_why(
    tmp_path: Path,
) -> None:
    hold = Hold(since="2026-01-01T00:00:00.000Z", who="lead", reason="gripper")
    with desk(tmp_path / "outbox.sqlite3") as at:
        one = station(
            tmp_path / "outbox.sqlite3", at, pause_at=lambda captured_ns: hold if captured_ns < 10 else None
        )
        for number, captured_ns in enumerate((9, 10)):
            one.capture.put(replace(frame(number, bad_picture()), captured_ns=captured_ns))
        one.capture.put(replace(frame(2, np.zeros((0, 32, 1), np.uint8)), captured_ns=0))
        for _ in range(3):
            assert one.line.step() is not None
        assert one.outcome() == [(0, "skipped", "paused"), (1, "fail", None), (2, "skipped", "paused")]
        assert one.records()[0]["detail"] == "paused since 2026-01-01T00:00:00.000Z by lead: gripper"
        assert len(one.engine.batches) == 1


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
