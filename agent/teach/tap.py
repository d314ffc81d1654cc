"""Good parts from a line that runs: what it has judged is offered, and costs nothing while nobody collects.

Parts of one minute are alike and say little of the next one, so that at most a share of those wanted is taken
in each minute. A part that comes while one is being written is let go by: the line never waits.
"""

from __future__ import annotations

import math
import queue
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from agent.clock import Clock
from agent.line.publish import Recorded
from agent.messages import Pixels
from agent.teach.collect import Got
from agent.teach.part_set import PartSet, minute_of, name_of_minute

MINUTES = 5  # that parts come from, at least
LOOK_S = 0.25
SILENT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which parts: of a camera, or of all; those that pass, or all that were judged."""

    camera: str = ""
    only_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    picture: Pixels
    taken: datetime


class Tap:
    """A listener of records. Nobody may write into the pictures that it gives."""

    def __init__(self) -> None:
        self._wish: Wish | None = None
        self._parts: queue.Queue[Part] = queue.Queue(maxsize=1)

    def recorded(self, told: Recorded) -> None:
        """In the outbox's thread; never waits. Undecided and skipped triggers are no parts."""
        wish = self._wish
        if wish is None:
            return
        verdict, frame = told.verdict, told.frame
        wanted = ("pass",) if wish.only_passed else ("pass", "fail")
        if frame is None or told.picture is None or verdict.verdict not in wanted:
            return
        if wish.camera not in ("", verdict.camera) or verdict.is_partial:
            return
        try:
            self._parts.put_nowait(Part(picture=told.picture, taken=frame.captured_at))
        except queue.Full:  # that one is still being written
            return

    @contextmanager
    def open(self, wish: Wish) -> Iterator[Callable[[], Part | None]]:
        """For one who collects: the next part, None where none came within LOOK_S."""
        with self._parts.mutex:
            self._parts.queue.clear()
        self._wish = wish
        try:
            yield self._next
        finally:
            self._wish = None

    def _next(self) -> Part | None:
        try:
            return self._parts.get(timeout=LOOK_S)
        except queue.Empty:
            return None


def from_line(parts: PartSet, tap: Tap, wish: Wish, wanted: int, clock: Clock) -> Iterator[Got]:
    """Until there are enough; also told while none comes. Raises PartSetError."""
    taken = Counter(minute_of(one) for one in parts.pictures())
    count, most = sum(taken.values()), math.ceil(wanted / MINUTES)
    heard_ns = clock.monotonic_ns()
    with tap.open(wish) as following:
        while count < wanted:
            part = following()
            if part is None:
                silent_s = (clock.monotonic_ns() - heard_ns) / 1e9
                words = f"no part for {silent_s:.0f} s; does the line run?" if silent_s > SILENT_S else None
                yield Got(parts=count, wanted=wanted, waits=words)
                continue
            heard_ns = clock.monotonic_ns()
            minute = name_of_minute(part.taken)
            if taken[minute] >= most:
                words = f"{most} parts of this minute are there; the next minute goes on"
                yield Got(parts=count, wanted=wanted, waits=words)
                continue
            parts.add_picture(part.picture, part.taken)
            taken[minute] += 1
            count += 1
            yield Got(parts=count, wanted=wanted)
