"""Times and ids are written one way, and a test can hold the clock still."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock, Steps, SystemClock, clock_synced, new_uuid7, rfc3339

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)
MOMENTS = st.timedeltas(timedelta(days=-20_000), timedelta(days=60_000)).map(lambda after: FIRST + after)


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(datetime(2026, 11, 22, 7, tzinfo=timezone.utc))
    assert clock.monotonic_ns() == clock.monotonic_ns() == 0
    clock.advance(1.5)
    clock.sleep(0.5)
    clock.sleep(-3)
    assert clock.monotonic_ns() == 2_000_000_000
    assert clock.utc_now() == datetime(2026, 11, 22, 7, 0, 2, tzinfo=timezone.utc)


def test_the_system_clock_goes_forward_and_knows_its_zone() -> None:
    clock = SystemClock()
    before = clock.monotonic_ns()
    clock.sleep(-1)
    clock.sleep(0.001)
    assert clock.monotonic_ns() - before >= 1_000_000
    assert clock.utc_now().utcoffset() == timedelta(0)


def test_a_moment_is_written_in_utc_with_milliseconds_and_a_z() -> None:
    berlin = timezone(timedelta(hours=1))
    assert rfc3339(datetime(2026, 11, 22, 8, 15, 3, 412_999, berlin)) == "2026-11-22T07:15:03.412Z"
    assert rfc3339(datetime(2026, 11, 22, tzinfo=timezone.utc)) == "2026-11-22T00:00:00.000Z"


@given(MOMENTS, MOMENTS)
def test_written_moments_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    assert rfc3339(first) <= rfc3339(second)


@given(MOMENTS)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_millisecond(moment: datetime) -> None:
    made = uuid.UUID(new_uuid7(ManualClock(moment)))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert abs((made.int >> 80) - moment.timestamp() * 1000) <= 1


@given(st.lists(st.integers(1, 100_000), max_size=20))
def test_ids_made_in_different_milliseconds_sort_by_time(steps_ms: list[int]) -> None:
    clock = ManualClock()
    ids = []
    for step_ms in steps_ms:
        clock.advance(step_ms / 1000)
        ids.append(new_uuid7(clock))
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_differ() -> None:
    clock = ManualClock()
    assert len({new_uuid7(clock) for _ in range(1000)}) == 1000


def test_whether_the_clock_is_disciplined_is_said_or_left_open() -> None:
    assert clock_synced() in (True, False, None)


def test_a_wall_clock_that_steps_is_known_for_a_day() -> None:
    clock = ManualClock()
    steps = Steps(clock)
    assert not steps.lately(clock.utc_now())
    clock.advance(5 * 3600)
    assert not steps.lately(clock.utc_now() + timedelta(minutes=30))  # as it is disciplined
    ahead = timedelta(days=400)
    assert steps.lately(clock.utc_now() + ahead)
    clock.advance(23 * 3600)
    assert steps.lately(clock.utc_now() + ahead)
    clock.advance(2 * 3600)
    assert not steps.lately(clock.utc_now() + ahead)
    assert steps.lately(clock.utc_now())
