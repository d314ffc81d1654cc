"""Log lines that repeat: some are said, the rest are counted, and the count is said.

Each kind of line (event, camera, level) has room for BURST lines, and gets room for one more every EVERY_S.
Ten lines tell how a trouble began, also one whose story takes several. One in half a minute shows that it
lasts, and is less than 3000 a day: an endless trouble of one kind writes some MB a day, where one that is
logged with every frame would write them in a minute. Lines at debug are all said: who asks for them wants
each, and the journal has bounds of its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

BURST = 10
EVERY_S = 30.0
KINDS = 512  # known at a time; there are some 80 events, and at most 16 cameras

Kind: TypeAlias = tuple[str, str, str]  # event, camera or nothing, level

_EVERY_NS = round(EVERY_S * 1e9)


@dataclass(slots=True)
class _Room:
    full_ns: int  # when there will be room for BURST lines again
    left_out: int = 0  # since the last line that was said


class Repeats:
    """A processor of structlog, for every thread. A line that is not said ends there."""

    def __init__(self, monotonic_ns: Callable[[], int], *, kinds: int = KINDS) -> None:
        self._monotonic_ns = monotonic_ns
        self._kinds = kinds
        self._lock = threading.Lock()
        self._rooms: OrderedDict[Kind, _Room] = OrderedDict()  # the one that was used last at the end
        self._of_others = 0  # left out, of kinds that had to make room, and not said yet
        self._total = 0

    @property
    def left_out(self) -> int:
        """Lines, since the start."""
        return self._total

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """The line, which may have to say how many before it were left out; raises structlog.DropEvent."""
        if event.get("level") == "debug":
            return event
        kind = (str(event.get("event")), str(event.get("camera", "")), str(event.get("level")))
        with self._lock:
            room = self._room(kind)
            now_ns = self._monotonic_ns()
            full_ns = max(room.full_ns, now_ns) + _EVERY_NS
            if full_ns - now_ns > BURST * _EVERY_NS:
                room.left_out += 1
                self._total += 1
                raise structlog.DropEvent
            room.full_ns = full_ns
            if room.left_out:
                event["left_out"], room.left_out = room.left_out, 0
            if self._of_others:
                event["left_out_of_others"], self._of_others = self._of_others, 0
        return event

    def rest(self) -> Mapping[str, int]:
        """What was left out and has not been said, by kind; it counts as said now."""
        with self._lock:
            found = {" ".join(kind).replace("  ", " "): one.left_out for kind, one in self._rooms.items()}
            found["others"], self._of_others = self._of_others, 0
            for room in self._rooms.values():
                room.left_out = 0
        return {kind: count for kind, count in found.items() if count}

    def _room(self, kind: Kind) -> _Room:
        """A kind that is new has room for all; for it the one that was silent for longest is forgotten."""
        room = self._rooms.setdefault(kind, _Room(full_ns=0))
        self._rooms.move_to_end(kind)
        if len(self._rooms) > self._kinds:
            _, gone = self._rooms.popitem(last=False)
            self._of_others += gone.left_out
        return room
