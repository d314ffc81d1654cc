"""Which files of a folder that somebody fills are whole, and were not given yet.

A file is tried once its size and time have stood still for SETTLED_S, and given up as damaged once they have
for STUCK_S. What was given is known by device, name, size and time for as long as it lies there, so that
memory is bounded by the folder: a name that is written anew is a new file, and a disk that goes and comes
back brings none twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agent.cameras.images import natural_key

SETTLED_S = 1.0
STUCK_S = 10.0


class Place(NamedTuple):
    """Where a file lies, within one folder's path."""

    device: int
    name: str


class Stamp(NamedTuple):
    """What changes when a file is written to."""

    changed_ns: int  # the file system's wall clock: to order and to compare, never to measure
    size: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    stamp: Stamp
    since_ns: int  # of the monotonic clock


class Arrivals:
    """Of one folder, over all its connections; for one thread at a time."""

    def __init__(self) -> None:
        self._given: dict[Place, Stamp] = {}
        self._waiting: dict[Place, _Waiting] = {}

    def look(self, device: int, found: Mapping[str, Stamp], now_ns: int) -> None:
        """Take in a listing; files that are gone from it are forgotten."""
        self._given = {
            place: stamp
            for place, stamp in self._given.items()
            if place.device != device or place.name in found
        }
        waiting: dict[Place, _Waiting] = {}
        for name, stamp in found.items():
            place = Place(device, name)
            if self._given.get(place) == stamp:
                continue
            before = self._waiting.get(place)
            waiting[place] = (
                before if before is not None and before.stamp == stamp else _Waiting(stamp, now_ns)
            )
        self._waiting = waiting

    def settled(self, now_ns: int) -> list[tuple[Place, Stamp]]:
        """Those to try now, the oldest first."""
        still = [
            (place, one.stamp)
            for place, one in self._waiting.items()
            if now_ns - one.since_ns >= SETTLED_S * 1e9
        ]
        return sorted(still, key=lambda one: (one[1].changed_ns, natural_key(one[0].name)))

    def is_stuck(self, place: Place, now_ns: int) -> bool:
        return now_ns - self._waiting[place].since_ns >= STUCK_S * 1e9

    def gave(self, place: Place) -> None:
        """It is not given again while it lies there unchanged."""
        self._given[place] = self._waiting.pop(place).stamp
