"""Who may stay connected to the page: few at a time, and nobody who only holds the line.

The page shares its process with the recording, whose files and sockets need descriptors, too. A newcomer is
let in at the price of who has let us wait for longest; there is no queue and no answer that says "full".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger()

SWEEP_S = 0.5
TELL_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the page allows itself and others."""

    connections: int = 32
    backlog: int = 16  # connections that the system may hold open for us beyond them
    ask_s: float = 5.0  # for a whole request, from the connection or the answer before
    answer_s: float = 20.0  # for an answer to be made, and again to be read
    hurry_s: float = 2.0  # for it to be made, where others wait to come in


LIMITS = Limits()


@dataclass(slots=True, eq=False)
class Visit:
    """One connection."""

    address: str
    since_s: float  # of the present phase
    asking: bool = True  # no whole request has come; else it is being answered
    unread: Callable[[], int] = field(default=lambda: 0)  # bytes of the answer that wait to be read

    @property
    def is_idle(self) -> bool:
        return self.asking and not self.unread()


def overdue(visit: Visit, limits: Limits, now_s: float) -> bool:
    """Whether it has held the line for too long."""
    return now_s - visit.since_s > (limits.ask_s if visit.is_idle else limits.answer_s)


def who_leaves(visits: Iterable[Visit], limits: Limits, now_s: float) -> Visit | None:
    """Who makes room for a newcomer; None: nobody.

    The oldest, of the address that holds most: of those that let us wait for a question, or for an answer to
    be read; where there are none, of those whose answers take too long.
    """
    present = list(visits)
    held = Counter(visit.address for visit in present)
    waited_for = [visit for visit in present if visit.asking or visit.unread()]
    slow = [visit for visit in present if now_s - visit.since_s > limits.hurry_s]
    candidates = waited_for or slow
    return max(candidates, key=lambda one: (held[one.address], now_s - one.since_s), default=None)


class Door:
    """Keeps the limits on the connections of one server; everything happens in its event loop."""

    def __init__(self, limits: Limits, turned_away: Callable[[], None]) -> None:
        """`turned_away` is called for each connection that is closed before it would have ended."""
        self._limits = limits
        self._turned_away = turned_away
        self._visits: dict[Visit, asyncio.Transport] = {}
        self._sweeping = False
        self._untold = 0
        self._told_s: float | None = None

    def enter(self, transport: asyncio.Transport) -> Visit | None:
        """Let a connection in; None when it was closed instead."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if len(self._visits) >= self._limits.connections:
            leaves = who_leaves(self._visits, self._limits, now_s)
            if leaves is None:
                self._close(transport)
                return None
            self._close(self._visits.pop(leaves))
        peer = transport.get_extra_info("peername")
        visit = Visit(
            address=str(peer[0]) if peer else "", since_s=now_s, unread=transport.get_write_buffer_size
        )
        self._visits[visit] = transport
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_S, self._sweep)
        return visit

    def leave(self, visit: Visit) -> None:
        self._visits.pop(visit, None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for visit in [one for one in self._visits if overdue(one, self._limits, now_s)]:
            self._close(self._visits.pop(visit))
        self._sweeping = bool(self._visits)
        if self._sweeping:
            loop.call_later(SWEEP_S, self._sweep)

    def _close(self, transport: asyncio.Transport) -> None:
        """At once: what waits to be sent would hold the descriptor for as long as nobody reads."""
        transport.abort()
        self._turned_away()
        self._untold += 1
        now_s = asyncio.get_running_loop().time()
        if self._told_s is None or now_s - self._told_s > TELL_EVERY_S:
            log.warning(
                "page_connections_closed",
                count=self._untold,
                detail=f"idle or slow ones, or more than {self._limits.connections} at a time;"
                " see what opens them with: ss -tnp",
            )
            self._told_s, self._untold = now_s, 0


class Guest(H11Protocol):
    """HTTP on one connection, under the eyes of a door."""

    def __init__(self, door: Door, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._door = door
        self._visit: Visit | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._visit = self._door.enter(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._visit is not None:
            self._door.leave(self._visit)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._see()

    def on_response_complete(self) -> None:
        if self._visit is not None:
            self._visit.asking, self._visit.since_s = True, self.loop.time()
        super().on_response_complete()
        self._see()  # the next request may have come with the one before

    def _see(self) -> None:
        visit = self._visit
        answering = self.cycle is not None and not self.cycle.response_complete
        if visit is not None and visit.asking and answering:
            visit.asking, visit.since_s = False, self.loop.time()
