"""Records without a decision are counted as a list of all would count them, and words do not flicker."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.life import Counts
from agent.clock import ManualClock
from agent.messages import VerdictName
from agent.status.board import Board
from agent.status.health import assess
from agent.status.snapshot import Serving
from agent.status.work import FEW, HOLD_S, IDLE_S, NAMED, WINDOW_S, Minute
from tests.agent.status.samples import verdict

SECOND = 10**9
REASONS = st.sampled_from([None, "overload", "camera_error", "lost_lines"])


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), REASONS), max_size=200), st.integers(0, 90 * SECOND))
def test_a_minute_counts_what_a_list_of_all_records_would(
    steps: list[tuple[int, str | None]], wait_ns: int
) -> None:
    minute, everything, now_ns = Minute(), [], 7 * SECOND
    for pause_ns, reason in steps:
        now_ns += pause_ns
        minute.add(reason, now_ns)
        everything.append((now_ns // SECOND, reason))
    now_ns += wait_ns
    kept = [reason for at_s, reason in everything if now_ns // SECOND - at_s < WINDOW_S]
    tally = minute.tally(now_ns)
    assert tally.judged == kept.count(None)
    assert tally.unjudged == Counter(reason for reason in kept if reason is not None)
    assert len(minute._seconds) <= WINDOW_S


def test_a_minute_stays_small_whatever_reasons_it_is_told() -> None:
    minute = Minute()
    for number in range(100_000):
        minute.add(f"reason {number}", number * SECOND // 1000)
    tally = minute.tally(100 * SECOND)
    assert len(tally.unjudged) <= NAMED + 1
    assert sum(tally.unjudged.values()) == pytest.approx(60_000, abs=1000)


def new_board(clock: ManualClock, **limit: float) -> Board:
    board = Board(
        station="cell3",
        version="0",
        clock=clock,
        **limit,
        serving=lambda: Serving(engine="e", bundle="b", bundle_sha256="ab" * 32, threshold=0.03),
    )
    board.link_state("connected")
    board.camera_state("top", "streaming")
    return board


def record(board: Board, name: VerdictName, reason: str | None = None, *, camera: str = "top") -> None:
    board.judged(verdict(0, name, reason=reason, camera=camera), None)


@given(
    shares=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    limit=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
)
def test_a_station_runs_below_the_limit_and_is_degraded_above_it(shares: list[int], limit: float) -> None:
    """Each of `shares` is one second with so many of 20 records skipped."""
    clock = ManualClock()
    board = new_board(clock, max_unjudged_share=limit)
    for skipped in shares:
        for number in range(20):
            record(board, "skipped" if number < skipped else "pass", "overload" if number < skipped else None)
        clock.advance(1)
    total = sum(shares)
    share = total / (20 * len(shares))
    health = assess(board.snapshot())
    above = share > limit and (total >= 3 or limit == 0)
    assert (health.state == "degraded") is above or share == 1
    if health.state == "degraded":
        (cause,) = health.causes
        assert "too many frames are not judged: queue full, the machine is too slow" in cause
        assert not any(character.isdigit() for character in cause)


@pytest.mark.parametrize("name", ["skipped", "undecided"])
@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("overload", "queue full, the machine is too slow"),
        ("camera_error", "pictures could not be used"),
        ("lost_lines", "lines of the web were lost"),
        ("engine_error", "the engine failed"),
        ("of_a_later_version", "of a later version"),
    ],
)
def test_skipped_and_undecided_weigh_alike_and_their_reason_is_said(
    name: VerdictName, reason: str, words: str
) -> None:
    board = new_board(ManualClock())
    for _ in range(99):
        record(board, name, reason)
    record(board, "pass")
    (said,) = assess(board.snapshot()).reasons
    assert said == f"Camera top: 99 % of the frames of the last minute were not judged: {words}"


def test_one_camera_of_many_that_gives_only_errors_is_named_with_what_is_wrong() -> None:
    clock = ManualClock()
    board = new_board(clock)
    for _ in range(4):
        clock.advance(5)
        for _ in range(100):
            record(board, "pass")
        error = verdict(0, "skipped", reason="camera_error", camera="side")
        board.judged(error.model_copy(update={"detail": "128 x 900\x1b[31m, wanted 128 x 300"}), None)
    (said,) = assess(board.snapshot()).reasons
    assert said == (
        "Camera side: none of the frames of the last minute was judged: pictures could not be used "
        "(128 x 900\\x1b[31m, wanted 128 x 300)"
    )


def test_a_slow_camera_that_gives_only_errors_is_degraded_also_between_them() -> None:
    clock = ManualClock()
    board = new_board(clock)
    states = []
    for _ in range(5):
        record(board, "skipped", "camera_error")
        for _ in range(90):
            clock.advance(1)
            states.append(assess(board.snapshot()).state)
    assert states.index("degraded") <= 10
    assert "running" not in states[10:]
    record(board, "pass")
    for _ in range(int(HOLD_S) + WINDOW_S):
        clock.advance(1)
        record(board, "pass")
        state = assess(board.snapshot()).state
    assert state == "running"


def test_a_single_damaged_picture_is_no_trouble_of_the_station() -> None:
    clock = ManualClock()
    board = new_board(clock)
    for number in range(40):
        damaged = number == 3
        record(board, "skipped" if damaged else "pass", "camera_error" if damaged else None)
        clock.advance(0.5)
        assert assess(board.snapshot()).state == "running"


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_line_that_fails_to_judge_a_part_now_and_then_is_running(seed: int) -> None:
    """Where a minute holds one part, a single one of them is all there was."""
    rng, clock = random.Random(seed), ManualClock()
    board = new_board(clock)
    record(board, "pass")
    for _ in range(20):
        for _ in range(rng.randint(0, FEW - 1)):
            clock.advance(rng.randint(WINDOW_S + 1, 10 * WINDOW_S))
            record(board, "undecided", "camera_error")
            clock.advance(rng.randint(0, WINDOW_S))
            assert assess(board.snapshot()).state == "running"
        clock.advance(WINDOW_S + 1)
        record(board, "pass")


@pytest.mark.parametrize("reason", ["overload", "camera_error", "engine_error"])
@pytest.mark.parametrize("count", [FEW, 40])
def test_a_line_that_stands_still_between_shifts_has_no_trouble(count: int, reason: str) -> None:
    """However its last minute was: nothing is left undone."""
    clock = ManualClock()
    board = new_board(clock)
    record(board, "pass")
    for _ in range(count):
        clock.advance(1)
        record(board, "skipped", reason)
    assert assess(board.snapshot()).state == "degraded"
    clock.advance(IDLE_S)
    for _ in range(8 * 60):
        assert assess(board.snapshot()).state == "running"
        clock.advance(60)
    record(board, "pass")
    assert assess(board.snapshot()).state == "running"


@pytest.mark.parametrize("seed", range(5))
def test_a_load_that_swings_around_the_limit_changes_the_state_seldom(seed: int) -> None:
    rng, clock = random.Random(seed), ManualClock()
    board = new_board(clock)
    degraded_at: list[int] = []
    for second in range(300):
        for number in range(32):
            skipped = number < rng.randint(0, 3)
            record(board, "skipped" if skipped else "pass", "overload" if skipped else None)
        clock.advance(1)
        if assess(board.snapshot()).state == "degraded":
            degraded_at.append(second)
    begins = [second for second in degraded_at if second - 1 not in degraded_at]
    ends = [second for second in degraded_at if second + 1 not in degraded_at and second < 299]
    assert begins
    assert all(end - begin >= HOLD_S for begin, end in zip(begins, ends, strict=False))


def test_words_gain_grounds_and_lose_none_while_a_trouble_lasts() -> None:
    clock = ManualClock()
    board = new_board(clock)
    causes = []
    for second in range(60):
        for _ in range(10):
            record(board, "skipped", "overload" if second % 7 < 4 else "camera_error")
        record(board, "pass")
        clock.advance(1)
        causes.append(assess(board.snapshot()).causes)
    assert len(set(causes)) == 2
    assert "queue full" in causes[-1][0] and "pictures could not be used" in causes[-1][0]


def test_a_camera_that_has_finished_is_blamed_for_its_last_minute_only() -> None:
    clock = ManualClock()
    board = new_board(clock)
    for _ in range(50):
        record(board, "skipped", "overload")
    board.camera_state("top", "finished")
    assert assess(board.snapshot()).state == "degraded"
    clock.advance(WINDOW_S)
    assert assess(board.snapshot()).state == "running"


def test_frames_without_records_are_told_where_other_cameras_have_records() -> None:
    clock = ManualClock()
    board = new_board(clock)
    board.camera_state("side", "streaming")
    for second in range(WINDOW_S + 2):
        board.camera_counts("side", frames(second + 1))
        record(board, "pass")
        clock.advance(1)
    (said,) = assess(board.snapshot()).reasons
    assert said.startswith("Camera side gives frames and none is recorded")
    record(board, "pass", camera="side")
    assert assess(board.snapshot()).state == "running"


def test_an_empty_belt_is_no_trouble() -> None:
    clock = ManualClock()
    board = new_board(clock)
    board.camera_state("side", "streaming")
    for second in range(5 * WINDOW_S):
        for camera in ("top", "side"):
            board.camera_counts(camera, frames(second + 1))
        clock.advance(1)
    assert assess(board.snapshot()).state == "running"


def frames(count: int) -> Counts:
    return Counts(
        streaming=True,
        epoch=0,
        frames=count,
        reconnects=0,
        stalls=0,
        losses=0,
        lines_dropped=0,
        open_failures={},
        driver={},
    )
