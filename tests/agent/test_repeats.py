"""Lines that repeat are limited, and every line is either said or counted in one that is."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.repeats import BURST, EVERY_S, KINDS, Repeats


def said(
    repeats: Repeats, event: str = "camera", level: str = "warning", **more: Any
) -> dict[str, Any] | None:
    """The line as it goes on; None where it ends here."""
    try:
        return dict(repeats(None, level, {"event": event, "level": level, **more}))
    except structlog.DropEvent:
        return None


def test_the_first_lines_of_a_kind_are_said_and_then_one_now_and_then_with_the_count_of_the_rest() -> None:
    clock = ManualClock()
    repeats = Repeats(clock.monotonic_ns)
    lines = []
    for _ in range(600):
        lines.append(said(repeats, camera="top"))
        clock.advance(0.1)
    through = [line for line in lines if line is not None]
    assert lines[:BURST] == through[:BURST] and all("left_out" not in line for line in through[:BURST])
    assert len(through) == BURST + 60 / EVERY_S - 1
    assert [line["left_out"] for line in through[BURST:]] == [300 - BURST]
    assert repeats.left_out == 600 - len(through)


def test_a_kind_that_was_quiet_has_room_again() -> None:
    clock = ManualClock()
    repeats = Repeats(clock.monotonic_ns)
    for _ in range(2 * BURST):
        said(repeats)
    clock.advance(BURST * EVERY_S)
    assert [said(repeats) is not None for _ in range(BURST + 1)] == [True] * BURST + [False]


def test_events_cameras_and_levels_do_not_take_each_others_room() -> None:
    repeats = Repeats(ManualClock().monotonic_ns)
    for _ in range(100):
        said(repeats, "frame_not_judged", camera="top")
    assert said(repeats, "frame_not_judged", camera="top") is None
    for line in (
        said(repeats, "frame_not_judged", camera="side"),
        said(repeats, "frame_not_judged", "error", camera="top"),
        said(repeats, "row_refused", camera="top"),
    ):
        assert line is not None and "left_out" not in line


def test_an_error_is_limited_too_but_the_first_of_each_kind_is_always_said() -> None:
    repeats = Repeats(ManualClock().monotonic_ns)
    for number in range(3 * KINDS):
        assert said(repeats, f"event {number}", "error") is not None
        for _ in range(BURST):
            said(repeats, f"event {number}", "error")
        assert said(repeats, f"event {number}", "error") is None


def test_lines_at_debug_are_all_said() -> None:
    repeats = Repeats(ManualClock().monotonic_ns)
    assert all(said(repeats, "verdict", "debug") for _ in range(1000))


def test_memory_is_bounded_and_what_a_forgotten_kind_left_out_is_said_with_another() -> None:
    repeats = Repeats(ManualClock().monotonic_ns, kinds=2)
    for event in ("a", "b"):
        for _ in range(BURST + 3):
            said(repeats, event)
    line = said(repeats, "c")
    assert line is not None and line["left_out_of_others"] == 3
    assert repeats.rest() == {"b warning": 3}


def test_what_was_left_out_at_the_end_is_told_once() -> None:
    repeats = Repeats(ManualClock().monotonic_ns)
    for _ in range(BURST + 5):
        said(repeats, camera="top")
    assert repeats.rest() == {"camera top warning": 5}
    assert repeats.rest() == {}


EVENTS = st.tuples(
    st.sampled_from(["camera", "frame_not_judged", "row_refused"]),
    st.sampled_from([None, "top", "side"]),
    st.sampled_from(["info", "warning", "error", "debug"]),
)


@given(st.lists(st.tuples(EVENTS, st.integers(1, 40), st.sampled_from([0.0, 1.0, 40.0]))), st.integers(1, 4))
def test_said_and_left_out_add_up_to_what_was_logged(
    story: list[tuple[tuple[str, str | None, str], int, float]], kinds: int
) -> None:
    clock = ManualClock()
    repeats = Repeats(clock.monotonic_ns, kinds=kinds)
    counts = Counter[str]()
    for (event, camera, level), times, pause_s in story:
        for _ in range(times):
            counts["logged"] += 1
            if (line := said(repeats, event, level, **({"camera": camera} if camera else {}))) is not None:
                counts["said"] += 1
                counts["left out"] += line.get("left_out", 0) + line.get("left_out_of_others", 0)
        clock.advance(pause_s)
    counts["left out"] += sum(repeats.rest().values())
    assert counts["said"] + counts["left out"] == counts["logged"]
    assert repeats.left_out == counts["left out"]


def test_no_line_is_lost_between_threads() -> None:
    repeats = Repeats(ManualClock().monotonic_ns)
    through: list[object] = []

    def speak() -> None:
        for _ in range(500):
            if (line := said(repeats)) is not None:
                through.append(line)

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == BURST
    assert repeats.rest() == {"camera warning": 2000 - BURST}


@pytest.mark.parametrize("name", ["camera", "event"])
def test_a_name_of_any_kind_is_a_name(name: str) -> None:
    repeats = Repeats(ManualClock().monotonic_ns)
    assert repeats(None, "info", {"event": "a", "level": "info", name: ["no", "text"]})[name] == [
        "no",
        "text",
    ]
