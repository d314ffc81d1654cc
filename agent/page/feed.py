"""The one stream of a page: what is new, as named and numbered events of `text/event-stream`.

Nothing is looked at while nobody listens, and once for all who do. A stream ends by itself before the door
would close it; the browser comes again with the number of its last event and goes on there. Where that is
no longer known it is told `gap`, and asks for its view anew.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import uuid4

from starlette.concurrency import run_in_threadpool

from agent.page.sources import Json

EVERY_S = 0.5
STREAM_S = 15.0  # below Limits.answer_s of the door
KEPT = 120  # events that who comes again may have missed
RETRY_MS = 250

Look: TypeAlias = Callable[[], Sequence[tuple[str, Json]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`text` is what goes over the wire."""

    number: int
    name: str
    text: bytes


class Feed:
    """`look` tells what is new since it was last asked, as names and data."""

    def __init__(self, look: Look, *, every_s: float = EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._run = uuid4().hex[:8]  # numbers of another run say nothing here
        self._lock = threading.Lock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._number = 0
        self._looked_s: float | None = None
        self._closed = False

    def close(self) -> None:
        """Have every stream end at its next look."""
        self._closed = True

    def number_of(self, last_id: str) -> int | None:
        """Of the last event that a browser has; None where it is of another run, or no id."""
        run, _, number = last_id.partition("-")
        return int(number) if run == self._run and number.isdecimal() and len(number) < 16 else None

    def after(self, number: int | None, now_s: float) -> tuple[list[Event], int]:
        """What came after an event, and the number to ask with next.

        None asks from now on. What is no longer kept is one `gap`, and everything from then on.
        """
        with self._lock:
            if self._looked_s is None or now_s - self._looked_s >= self._every_s:
                self._looked_s = now_s
                for name, data in self._look():
                    self._append(name, data)
            oldest = self._kept[0].number if self._kept else self._number + 1
            if number is None or number < oldest - 1 or number > self._number:
                return [self._event("gap", {}, self._number)], self._number
            return [one for one in self._kept if one.number > number], self._number

    async def stream(self, last_id: str, only: Collection[str]) -> AsyncIterator[bytes]:
        """Until its time is over; `only` names events, none means all."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + STREAM_S
        number = self.number_of(last_id)
        yield b"retry: %d\n\n" % RETRY_MS
        while not self._closed and loop.time() < ends_s:
            events, number = await run_in_threadpool(self.after, number, loop.time())
            for one in events:
                if not only or one.name in only or one.name == "gap":
                    yield one.text
            await asyncio.sleep(self._every_s)

    def _append(self, name: str, data: Json) -> None:
        self._number += 1
        self._kept.append(self._event(name, data, self._number))

    def _event(self, name: str, data: Json, number: int) -> Event:
        text = f"id: {self._run}-{number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        return Event(number=number, name=name, text=text.encode())
