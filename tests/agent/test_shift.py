"""A shift began at the last of its times of day, also when that was yesterday."""

from __future__ import annotations

from datetime import datetime, time, timezone

import pytest

from agent.shift import began

STARTS = [time(6), time(14), time(22)]


@pytest.mark.parametrize(
    ("now", "expected"),
    [("05:59", "28 22:00"), ("06:00", "29 06:00"), ("13:59", "29 06:00"), ("23:30", "29 22:00")],
)
def test_a_shift_began_at_the_last_start_that_has_come(now: str, expected: str) -> None:
    hour, minute = map(int, now.split(":"))
    moment = datetime(2026, 11, 29, hour, minute, tzinfo=timezone.utc)
    assert f"{began(moment, STARTS):%d %H:%M}" == expected


def test_one_start_a_day_is_enough() -> None:
    moment = datetime(2026, 11, 29, 5, tzinfo=timezone.utc)
    assert began(moment, [time(6)]) == datetime(2026, 11, 28, 6, tzinfo=timezone.utc)
