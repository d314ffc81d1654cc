"""Views as they come: from the publisher, or, where it brought none, from the outbox; each once, in order."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from agent.clock import Clock
from agent.contract.row import Changed, Waiting
from agent.contract.verdict import Verdict
from agent.line.publish import Recorded
from agent.parts.view import Rule, View, view_of

VIEWS_WAITING = 1024  # more are read from the outbox
AT_ONCE = 64


class Verdicts(Protocol):
    """The outbox. Each raises OutboxError."""

    def verdicts(self, after: int, limit: int) -> tuple[Waiting | Changed, ...]: ...

    def last_sequence(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Come:
    """A verdict, and the view that it is of a part, if it is one."""

    sequence: int
    view: View | None
    at_ns: int  # when it was committed, or read


class Intake:
    """`recorded` is for the outbox's thread, all else for the one that takes."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        outbox: Verdicts,
        clock: Clock,
        lost: Callable[[int, int, int], None],
    ) -> None:
        """`rules` by camera. `lost` is told how many verdicts between two are not to be had any more."""
        self.taken = 0  # the last verdict of which everything is kept
        self.at_hand: list[Come] = []  # what follows it, until it is kept, too
        self._rules = rules
        self._outbox = outbox
        self._clock = clock
        self._lost = lost
        self._come: queue.Queue[Come] = queue.Queue(maxsize=VIEWS_WAITING)
        self._missed = False  # the outbox may have what did not come

    def begin(self, taken: int) -> None:
        """Behind this verdict; what the outbox has of them is read first."""
        self.taken, self._missed = taken, True

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        verdict, now_ns = told.verdict, self._clock.monotonic_ns()
        view = None
        if verdict.camera in self._rules:
            view = view_of(verdict, captured_ns=told.item.captured_ns, committed_ns=now_ns)
        try:
            self._come.put_nowait(Come(sequence=verdict.sequence, view=view, at_ns=now_ns))
        except queue.Full:
            self._missed = True

    def gather(self, wait_s: float) -> int:
        """Have at hand what comes; the time up to which that is all there was. Raises OutboxError."""
        if len(self.at_hand) >= VIEWS_WAITING:  # it cannot be kept for long: the outbox has what follows
            return self.at_hand[-1].at_ns
        come: list[Come] = []
        if not self.at_hand and not self._missed and wait_s > 0:
            with suppress(queue.Empty):
                come.append(self._come.get(timeout=wait_s))
        now_ns = self._clock.monotonic_ns()
        missed, self._missed = self._missed, False
        with suppress(queue.Empty):
            while len(come) < VIEWS_WAITING:
                come.append(self._come.get_nowait())
        last = self._outbox.last_sequence() if missed else 0
        for one in come:
            self._fill(one.sequence - 1)
            if one.sequence > self._last():
                self.at_hand.append(one)
        self._fill(last)
        return now_ns

    def views(self, after: int, last: int) -> Iterator[View]:
        """What the outbox has between two verdicts. Raises OutboxError."""
        while after < last and (rows := self._outbox.verdicts(after, AT_ONCE)):
            come = [self._come_of(row)[0] for row in rows]
            yield from (one.view for one in come if one.view is not None and one.sequence <= last)
            after = max(after + 1, come[-1].sequence)

    def kept(self) -> None:
        """What was at hand."""
        self.taken, self.at_hand = self._last(), []

    def _last(self) -> int:
        return self.at_hand[-1].sequence if self.at_hand else self.taken

    def _fill(self, last: int) -> None:
        """Have at hand what the outbox has up to `last` and nobody brought."""
        first, there = self._last(), 0
        whole = True  # as many as were asked for: there may be more
        while self._last() < last and whole:
            rows = self._outbox.verdicts(self._last(), AT_ONCE)
            whole = len(rows) == AT_ONCE
            for row in rows:
                one, is_readable = self._come_of(row)
                if self._last() < one.sequence <= last:
                    self.at_hand.append(one)
                    there += is_readable
        if self._last() < last:
            self.at_hand.append(Come(sequence=last, view=None, at_ns=self._clock.monotonic_ns()))
        if there < last - first:
            self._lost(first, last, last - first - there)

    def _come_of(self, row: Waiting | Changed) -> tuple[Come, bool]:
        """And whether it could be read: it is what was committed, and not of another version."""
        now_ns = self._clock.monotonic_ns()
        if isinstance(row, Changed):
            return Come(sequence=row.sequence or 0, view=None, at_ns=now_ns), False
        sequence = row.row.sequence or 0
        try:
            verdict = Verdict.model_validate_json(row.row.payload)
        except ValidationError:
            return Come(sequence=sequence, view=None, at_ns=now_ns), False
        view = view_of(verdict) if verdict.camera in self._rules else None
        return Come(sequence=sequence, view=view, at_ns=now_ns), True
