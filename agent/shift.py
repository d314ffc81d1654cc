"""When the shift of a moment began: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta


def began(now: datetime, starts: Sequence[time]) -> datetime:
    """The last of these times of day that has come, by the clock of `now`."""
    days = (now.date(), now.date() - timedelta(days=1))
    moments = (datetime.combine(day, start, tzinfo=now.tzinfo) for day in days for start in starts)
    return max(moment for moment in moments if moment <= now)
