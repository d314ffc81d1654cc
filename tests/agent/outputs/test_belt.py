"""Where a belt is between two readings, when they stop, and when its counter wraps or begins anew."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.outputs.belt import RELIED_ON, Belt, Reading, place_at, place_of, read, when
from tests.agent.outputs.playing import MS, S


def after(readings: Sequence[Reading]) -> Belt:
    belt = Belt()
    for one in readings:
        belt = read(belt, one)
    return belt


def steady(count: int, *, speed_per_s: float = 2000.0, gap_ms: int = 20, start: int = 0) -> list[Reading]:
    return [
        Reading(
            count=(start + round(number * gap_ms * speed_per_s / 1000)) % 2**32, at_ns=number * gap_ms * MS
        )
        for number in range(count)
    ]


def test_before_the_first_reading_nobody_knows_anything() -> None:
    assert place_at(Belt(), S) == 0 and when(Belt(), 100) is None


@pytest.mark.parametrize("start", [0, 10**6, 2**32 - 50])
def test_a_steady_belt_is_foreseen_to_the_tick(start: int) -> None:
    belt = after(steady(10, start=start))
    assert belt.place == 360 and belt.resets == 0
    assert place_at(belt, 190 * MS) == pytest.approx(380)
    assert when(belt, 380) == pytest.approx(190 * MS, abs=1000)
    assert when(belt, 300) == pytest.approx(150 * MS, abs=1000)  # where it was is known, too


def test_what_lies_farther_than_readings_can_be_relied_on_is_not_foreseen() -> None:
    belt = after(steady(10))
    far = belt.place + 40 * RELIED_ON
    assert when(belt, far) is not None and when(belt, far + 1) is None
    assert place_at(belt, 10 * S) == far  # it is taken to stand there


def test_a_belt_that_stands_brings_nothing_nearer() -> None:
    belt = after([*steady(10), *(Reading(count=360, at_ns=(200 + 20 * n) * MS) for n in range(5))])
    assert belt.speed == 0 and when(belt, 361) is None
    assert when(belt, 359) is not None


def test_a_jump_of_speed_counts_at_once_and_jitter_is_smoothed() -> None:
    slow, fast = steady(10), [Reading(count=360 + 80 * (n + 1), at_ns=(200 + 20 * n) * MS) for n in range(2)]
    assert after([*slow, fast[0]]).speed == pytest.approx(80 / (20 * MS))
    jittery = [
        Reading(count=one.count, at_ns=one.at_ns + (number % 2) * MS) for number, one in enumerate(slow)
    ]
    newest_gap = 40 / (21 * MS)
    assert abs(after(jittery).speed - 40 / (20 * MS)) < abs(newest_gap - 40 / (20 * MS))


def test_a_counter_that_falls_far_was_reset_and_the_belt_goes_on() -> None:
    belt = after([*steady(10), Reading(count=3, at_ns=200 * MS)])
    assert belt.resets == 1
    assert belt.place == pytest.approx(400)
    assert read(belt, Reading(count=43, at_ns=220 * MS)).place == pytest.approx(440)


def test_a_burst_of_blocks_from_a_belt_that_runs_back_is_no_reset() -> None:
    late = [Reading(count=360 - 40 * (number + 1), at_ns=(260 + number) * MS) for number in range(4)]
    belt = after([*steady(10), *late])
    assert belt.resets == 0 and belt.place == 200


def test_a_belt_that_turns_was_not_reset() -> None:
    belt = after([*steady(10), Reading(count=300, at_ns=200 * MS)])
    assert belt.resets == 0 and belt.place == 300


def test_another_connection_of_the_camera_is_a_reset_whatever_it_counts() -> None:
    belt = after([*steady(10), Reading(count=400, at_ns=200 * MS, epoch=1)])
    assert belt.resets == 1


def test_what_was_seen_before_a_reset_keeps_its_place_and_what_came_after_has_the_new_one() -> None:
    belt = after([*steady(10, start=100_000), Reading(count=0, at_ns=200 * MS)])
    assert place_of(belt, 100_300) == pytest.approx(300)
    assert place_of(belt, 0) == pytest.approx(belt.place)
    assert place_of(read(belt, Reading(count=40, at_ns=220 * MS)), 30) == pytest.approx(belt.place + 30)
