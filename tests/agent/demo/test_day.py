"""A made-up day is the same for the same seed, and has the shape of a real one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.demo.day import FRAME_PX, SHIFT_S, Piece, day, pace_at

CAMERAS = ("cam1", "cam2")


def whole(seed: int, hours: float = 24.0, rate_hz: float = 0.5) -> list[Piece]:
    return list(day(seed, hours=hours, cameras=CAMERAS, rate_hz=rate_hz))


def test_the_same_seed_makes_the_same_day_and_another_seed_another() -> None:
    assert whole(7, hours=2) == whole(7, hours=2)
    assert whole(7, hours=2) != whole(8, hours=2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_of_verdicts_are_those_of_a_line_that_mostly_works(seed: int) -> None:
    pieces = whole(seed)
    share = {name: count / len(pieces) for name, count in Counter(one.verdict for one in pieces).items()}
    assert share["pass"] > 0.9
    assert 0.015 < share["fail"] < 0.08
    assert 0.001 < share["undecided"] < 0.006
    assert 0.001 < share["skipped"] < 0.004


def test_fails_come_in_bursts() -> None:
    minutes = Counter(int(one.at_s // 60) for one in whole(0) if one.verdict == "fail")
    ordinary = sorted(minutes.values())[len(minutes) // 2]
    assert max(minutes.values()) > 4 * ordinary


def test_nothing_comes_in_breaks_and_at_handovers() -> None:
    hours = Counter(int(one.at_s // 600) for one in whole(0))
    for shift in range(3):
        begin = int(shift * SHIFT_S // 600)
        assert hours[begin + 25] == 0 and hours[begin + 47] == 0
        assert hours[begin + 20] > hours[begin] > 0


def test_the_night_is_slower_than_the_day() -> None:
    assert pace_at(3600) > pace_at(2 * SHIFT_S + 3600) > 0
    assert pace_at(3 * SHIFT_S + 3600) == pace_at(3600)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.2, 20), st.integers(1, 4))
def test_pieces_are_in_order_whole_and_consistent(seed: int, rate_hz: float, count: int) -> None:
    cameras = tuple(f"cam{number}" for number in range(count))
    pieces = list(day(seed, hours=0.1, cameras=cameras, rate_hz=rate_hz))
    assert all(one.at_s <= other.at_s for one, other in pairwise(pieces))
    assert [one.camera for one in pieces] == list(cameras) * (len(pieces) // count)
    for one in pieces:
        assert (one.reason is not None) == (one.verdict in ("undecided", "skipped"))
        assert (one.normalized is None) == (one.verdict in ("undecided", "skipped"))
        assert bool(one.boxes) == (one.verdict == "fail")
        if one.normalized is not None:
            assert (one.normalized >= 100) == (one.verdict == "fail")
        for x, y, width, height in one.boxes:
            assert x >= 0 and y >= 0 and x + width <= FRAME_PX[0] and y + height <= FRAME_PX[1]
