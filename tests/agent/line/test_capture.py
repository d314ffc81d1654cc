"""Every trigger leaves the ring exactly once and in order; what is dropped is a fault, never a silence."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from datetime import datetime, timezone
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.capture import FAULTS_WAITING, THUMBNAILS_WAITING, Capture
from agent.messages import Frame, FrameFault
from agent.track.unseen import THUMBNAIL_PX, without_picture

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
PATIENCE_S = 60.0


def frame(
    frame_id: int, *, shape: tuple[int, int, int] = (2, 3, 1), first_line: int = 0, value: int = 9
) -> Frame:
    return Frame(
        camera="top",
        frame_id=frame_id,
        image=np.full(shape, value, np.uint8),
        captured_ns=frame_id,
        captured_at=NOON,
        first_line=first_line,
        encoder=7,
        part_id=f"part{frame_id}",
    )


def fault(frame_id: int) -> FrameFault:
    return FrameFault(
        camera="top", frame_id=frame_id, reason="camera_error", detail="torn", captured_ns=0, captured_at=NOON
    )


def drained(capture: Capture) -> list[Frame | FrameFault]:
    items = []
    while (item := capture.take(0.0)) is not None:
        items.append(item)
    return items


def told(items: list[Frame | FrameFault]) -> list[tuple[int, str]]:
    """Id and what became of each trigger."""
    return [(item.frame_id, item.reason if isinstance(item, FrameFault) else "frame") for item in items]


def test_live_keeps_the_newest_frame_and_a_fault_for_every_older_one() -> None:
    capture = Capture("live", ring_frames=64)
    for item in (frame(0), fault(1), frame(2), frame(3)):
        assert capture.put(item)
    assert told(drained(capture)) == [(0, "overload"), (1, "camera_error"), (2, "overload"), (3, "frame")]
    assert (capture.received, capture.overloaded) == (4, 2)


def test_accountable_keeps_as_many_frames_as_the_ring_holds() -> None:
    capture = Capture("accountable", ring_frames=3)
    for frame_id in range(5):
        capture.put(frame(frame_id))
    assert told(drained(capture)) == [
        (0, "overload"),
        (1, "overload"),
        (2, "frame"),
        (3, "frame"),
        (4, "frame"),
    ]


def test_an_overload_fault_says_which_trigger_it_was_and_what_to_do() -> None:
    capture = Capture("accountable", ring_frames=1)
    pushed_out = replace(frame(5), first_line=1200, lines_lost=4)
    capture.put(pushed_out)
    capture.put(frame(6))
    item = capture.take(0.0)
    assert isinstance(item, FrameFault) and "line.ring_frames" in item.detail
    kept = (
        "camera",
        "frame_id",
        "captured_ns",
        "captured_at",
        "first_line",
        "encoder",
        "lines_lost",
        "part_id",
    )
    assert [getattr(item, name) for name in kept] == [getattr(pushed_out, name) for name in kept]


def test_the_picture_of_a_frame_that_is_pushed_out_is_let_go() -> None:
    capture = Capture("live", ring_frames=1)
    first = frame(0)
    picture = weakref.ref(first.image)
    capture.put(first)
    del first
    capture.put(frame(1))
    gc.collect()
    assert picture() is None


@given(
    st.sampled_from(["live", "accountable"]),
    st.integers(1, 5),
    st.lists(st.sampled_from(["frame", "fault", "take"]), max_size=60),
)
def test_every_trigger_is_taken_once_and_in_order(mode: str, ring_frames: int, steps: list[str]) -> None:
    capture = Capture("live" if mode == "live" else "accountable", ring_frames)
    taken: list[Frame | FrameFault] = []
    for number, step in enumerate(steps):
        if step == "take":
            taken += [item for item in [capture.take(0.0)] if item is not None]
        else:
            capture.put(frame(number) if step == "frame" else fault(number))
    waiting = drained(capture)
    assert sum(isinstance(item, Frame) for item in waiting) <= (1 if mode == "live" else ring_frames)
    sent = [number for number, step in enumerate(steps) if step != "take"]
    assert [item.frame_id for item in taken + waiting] == sent
    overloads = sum(isinstance(item, FrameFault) and item.reason == "overload" for item in taken + waiting)
    assert (capture.received, capture.overloaded) == (len(sent), overloads)


def test_put_waits_only_when_too_many_faults_wait_and_goes_on_when_one_is_taken() -> None:
    capture = Capture("accountable", ring_frames=2)
    for frame_id in range(FAULTS_WAITING + 1):
        assert capture.put(fault(frame_id), 0.0)
    assert not capture.put(fault(-1), 0.0)
    done = threading.Event()

    def put() -> None:
        capture.put(frame(FAULTS_WAITING + 1))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert not done.is_set()
    assert capture.take(0.0) is not None
    assert done.wait(PATIENCE_S)
    thread.join()
    assert [item.frame_id for item in drained(capture)] == list(range(1, FAULTS_WAITING + 2))


def test_a_taker_that_waits_is_woken_by_a_frame_and_by_the_end() -> None:
    capture = Capture("accountable", ring_frames=2)
    taken: list[Frame | FrameFault | None] = []
    thread = threading.Thread(
        target=lambda: taken.extend([capture.take(PATIENCE_S), capture.take(PATIENCE_S)])
    )
    thread.start()
    capture.put(frame(0))
    capture.close()
    thread.join(PATIENCE_S)
    assert [item and item.frame_id for item in taken] == [0, None]


def test_a_closed_ring_is_finished_only_when_all_is_taken() -> None:
    capture = Capture("accountable", ring_frames=2)
    capture.put(frame(0))
    capture.close()
    assert not capture.is_finished()
    assert told(drained(capture)) == [(0, "frame")]
    assert capture.is_finished()


def test_a_source_that_can_wait_waits_for_room_and_none_of_its_frames_is_pushed_out() -> None:
    capture = Capture("accountable", ring_frames=3, source_waits=True)
    assert all(capture.put(frame(frame_id), 0.0) for frame_id in range(3))
    assert not capture.put(frame(3), 0.01)
    assert capture.put(fault(3), 0.0)  # holds no picture
    thread = threading.Thread(target=lambda: [capture.put(frame(number)) for number in range(4, 40)])
    thread.start()
    taken = [capture.take(PATIENCE_S) for _ in range(40)]
    thread.join(PATIENCE_S)
    assert told([item for item in taken if item]) == [
        (number, "camera_error" if number == 3 else "frame") for number in range(40)
    ]
    assert (capture.received, capture.overloaded) == (40, 0)


def test_live_mode_shows_the_newest_frame_of_a_source_that_could_wait() -> None:
    capture = Capture("live", ring_frames=3, source_waits=True)
    assert all(capture.put(frame(frame_id), 0.0) for frame_id in range(3))
    assert told(drained(capture)) == [(0, "overload"), (1, "overload"), (2, "frame")]


@given(
    height=st.integers(1, 900),
    width=st.integers(1, 900),
    channels=st.sampled_from([1, 3]),
    depth=st.sampled_from([8, 10, 12, 16]),
)
def test_a_frame_that_is_pushed_out_leaves_a_small_thumbnail_of_its_own(
    height: int, width: int, channels: int, depth: int
) -> None:
    capture = Capture("live", ring_frames=1)
    shade = np.linspace(0, 2**depth - 1, width).astype(np.uint8 if depth == 8 else np.uint16)
    image = np.broadcast_to(shade[None, :, None], (height, width, channels)).copy()
    capture.put(replace(frame(0), image=image, bit_depth=depth))
    capture.put(frame(1))
    image[:] = 0  # the camera's memory is used again
    pushed_out, _ = drained(capture)
    assert isinstance(pushed_out, FrameFault) and pushed_out.thumbnail is not None
    thumbnail = pushed_out.thumbnail
    assert thumbnail.dtype == np.uint8 and max(thumbnail.shape[:2]) <= THUMBNAIL_PX
    assert thumbnail[0, 0, 0] == 0 and (width < 4 or thumbnail[0, -1, 0] > 128)
    assert abs(thumbnail.shape[1] / thumbnail.shape[0] * height / width - 1) < 0.5 or min(height, width) < 20


def test_only_the_last_faults_that_wait_hold_thumbnails() -> None:
    capture = Capture("accountable", ring_frames=4)
    for number in range(1000):
        capture.put(frame(number))
    items = drained(capture)
    assert [item.frame_id for item in items] == list(range(1000))
    holding = [item.frame_id for item in items if isinstance(item, FrameFault) and item.thumbnail is not None]
    assert holding == list(range(996 - THUMBNAILS_WAITING, 996))


@pytest.mark.parametrize(
    "image", [np.zeros((0, 4, 1), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1))]
)
def test_what_is_no_picture_leaves_no_thumbnail(image: np.ndarray) -> None:
    assert without_picture(replace(frame(0), image=image), "camera_error", "odd").thumbnail is None


@pytest.mark.parametrize(
    ("mode", "ring_frames", "words"),
    [
        ("live", 64, "a newer frame came before the line was free; set line.mode to accountable"),
        ("accountable", 1, "a newer frame came before the line was free; raise line.ring_frames"),
        ("accountable", 3, "3 newer frames came before the line was free; raise line.ring_frames"),
    ],
)
def test_a_frame_that_is_pushed_out_says_what_would_help_in_its_mode(
    mode: Literal["live", "accountable"], ring_frames: int, words: str
) -> None:
    capture = Capture(mode, ring_frames)
    for number in range(ring_frames + 1):
        capture.put(frame(number))
    pushed_out = capture.take(0.0)
    assert isinstance(pushed_out, FrameFault) and pushed_out.detail.startswith(words)


def test_whether_it_is_full_is_told_while_somebody_stands_with_it_in_hand() -> None:
    ring = Capture("accountable", 1, source_waits=True)
    ring.put(frame(0))
    told: list[bool] = []
    with ring._changed:
        asking = threading.Thread(target=lambda: told.append(ring.is_full()), daemon=True)
        asking.start()
        asking.join(10)
        assert told == [True]
