"""The wall clock of a day that is played in less: in the agent's process, and as the test holds it.

While the day lasts the wall clock runs so many times as fast as the real one; it ends when the day does,
and both then say the same. Somebody may set it ahead or back meanwhile. What the agent measures by its
monotonic clock, such as time-outs, back-offs and how long a record took, is not hurried.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

VARIABLE = "SOAK_CLOCK"  # names the file in the agent's environment
LAYOUT = struct.Struct("<5d")  # begins: UNIX seconds, monotonic; ends: monotonic; times as fast; step in s
STEP_AT = 32
SLACK_S = 1.0  # of the real clock: the agent reads its clock a moment before or after it is set

# Begins an agent's process, before it imports anything of the agent.
ENTRY = "from tests.soak.hurried import hurry; hurry()\n"


def hurry() -> None:
    """Have this process's agent live by the file that the environment names."""
    from agent.clock import SystemClock

    with Path(os.environ[VARIABLE]).open("rb") as file:
        shared = mmap.mmap(file.fileno(), LAYOUT.size, access=mmap.ACCESS_READ)

    def utc_now(_: SystemClock) -> datetime:
        return _wall(shared, time.monotonic())

    SystemClock.utc_now = utc_now  # type: ignore[method-assign]


class DayClock:
    """The same clock as the test holds it, which alone sets it."""

    def __init__(
        self, path: Path, *, minutes: float, hours: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self.hours = hours
        self.times = hours * 60 / minutes
        self._monotonic_s = monotonic_s
        self._lasts_s = minutes * 60
        self._begins_s = 0.0
        self._wall_s = 0.0
        self._steps = [(0.0, 0.0)]  # since when, and by how much it is set off

    def begin(self, now: datetime) -> None:
        """The day begins; it ends at the moment at which the real clock is then."""
        self._begins_s = self._monotonic_s()
        self._wall_s = now.timestamp() + self._lasts_s - self.hours * 3600
        ends_s = self._begins_s + self._lasts_s
        self.path.write_bytes(LAYOUT.pack(self._wall_s, self._begins_s, ends_s, self.times, 0.0))

    def elapsed_s(self) -> float:
        """Of the real clock, since the day began."""
        return self._monotonic_s() - self._begins_s

    def hour_at(self, elapsed_s: float) -> float:
        """Of the day that is played, when so much of the real one was over; at most its last."""
        return min(elapsed_s, self._lasts_s) * self.times / 3600

    def set_off(self, seconds: float) -> None:
        """Somebody sets the wall clock, to so much beside what is right."""
        with self.path.open("r+b") as file:
            file.seek(STEP_AT)
            file.write(struct.pack("<d", seconds))
        self._steps.append((self.elapsed_s(), seconds))

    def elapsed_at(self, said: datetime, *, near_s: float) -> float:
        """When the agent's clock said so; it may have more than once: the one nearest to `near_s`.

        Where it never did, `near_s` itself.
        """
        pieces = zip(self._steps, [*self._steps[1:], (math.inf, 0.0)], strict=True)
        found = []
        for (since_s, step_s), (until_s, _) in pieces:
            ahead_s = said.timestamp() - step_s - self._wall_s
            over_s = ahead_s - self.hours * 3600
            at_s = self._lasts_s + over_s if over_s > 0 else ahead_s / self.times
            if since_s - SLACK_S <= at_s <= until_s + SLACK_S:
                found.append(at_s)
        return min(found, key=lambda at_s: abs(at_s - near_s), default=near_s)


def _wall(shared: mmap.mmap, now_s: float) -> datetime:
    wall_s, begins_s, ends_s, times, step_s = LAYOUT.unpack_from(shared)
    lived_s = min(now_s, ends_s) - begins_s
    over_s = max(0.0, now_s - ends_s)
    return datetime.fromtimestamp(wall_s, timezone.utc) + timedelta(seconds=lived_s * times + over_s + step_s)
