"""The record first, then what it asks for: how the table's steps become durable, and are done.

A disk that takes nothing stops no line: nothing is begun that cannot be written down, and what has begun is
tried again every few seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress

import structlog

from agent.clock import Clock
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.rollout import rollout
from agent.remote.rollout.begin import Begun
from agent.remote.rollout.depot import Depot, DepotError
from agent.remote.rollout.duties import Duties, problem_of
from agent.remote.rollout.rollout_file import RECORD, NotWritable, RolloutFile
from agent.remote.rollout.transaction import (
    Action,
    Answer,
    Breached,
    Cancelled,
    Do,
    Event,
    Happened,
    Offered,
    Point,
    Problem,
    Record,
    Step,
    TakeUp,
)

RETRY_S = 5.0
GIVE_UP_S = 10.0  # within which a duty ends that is told to

log = structlog.get_logger()


class Carrying:
    """Of one depot; belongs to one thread. It holds the depot from the beginning of a transaction to its end.

    In between another bundle may be installed by hand; who comes second is told who is at it.
    """

    def __init__(
        self,
        begun: Begun,
        duties: Duties,
        clock: Clock,
        *,
        answer: Callable[[Event, Answer], None],
        moved: Callable[[], None],
    ) -> None:
        """`answer` tells whoever offered or cancelled; `moved` is called after every change of state."""
        self.record = begun.record
        self.trouble = begun.trouble
        self._depot: Depot = begun.depot
        self._file = RolloutFile(path=begun.depot.folder / RECORD)
        self._held = begun.held
        self._is_held = begun.is_held
        self._duties = duties
        self._clock = clock
        self._answer = answer
        self._moved = moved
        self._events: deque[Event] = deque(begun.events)
        self._owed: deque[tuple[Action, Event | None]] = deque((one, None) for one in begun.owed)
        self._retry_ns = 0

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to be done before anything new may happen, or the disk is waited for."""
        return bool(self._events or self._owed) or self._clock.monotonic_ns() < self._retry_ns

    def have(self) -> None:
        """Hold the depot, and know what was done by hand meanwhile.

        Raises DepotError where somebody is at it, and NotWritable.
        """
        if self._is_held:
            return
        with ExitStack() as held:
            held.enter_context(self._depot.held())
            self._depot.check_links()
            self.record, trouble = self._file.read()
            self._held, self._is_held = held.pop_all(), True
        if trouble is not None:
            self._duties.hindered(trouble)
        if trouble is not None or self.record.state != "idle":  # whoever began it is no longer there
            self._events.clear()
            self._owed.clear()
            self._follow(rollout.start(self.record, self._depot.links(), self._clock.boot()), None)

    def let_go(self) -> None:
        """Others may install now."""
        self._held.close()
        self._is_held = False

    def happened(self, event: Event) -> None:
        """To be followed with the next `go_on`."""
        self._events.append(event)

    def note(self, event: Event) -> None:
        """One that is only written down, where that can be done."""
        if self._is_held:
            with suppress(NotWritable):
                self._keep(rollout.step(self.record, event).record)

    def go_on(self) -> None:
        """Through all that has happened and is owed, as far as the disk takes it."""
        while self._clock.monotonic_ns() >= self._retry_ns:
            if self.record.state != "idle" and not self._is_held:
                try:
                    self.have()
                except (DepotError, NotWritable) as error:
                    self._wait(str(error))
            elif self._owed:
                self._pay()
            elif self._events:
                self._take(self._events.popleft())
            else:
                self.trouble = None
                return

    def _take(self, event: Event) -> None:
        step = rollout.step(self.record, event)
        leaves = step.record.state != self.record.state
        if leaves and not self._duties.leave(GIVE_UP_S):
            self._refuse(event, 429, "what goes on beside does not end; send it again")
            return
        try:
            self._follow(step, event)
        except NotWritable as error:
            self._refuse(event, error.code, str(error))

    def _follow(self, step: Step, event: Event | None) -> None:
        self._keep(step.record)
        self._owed.extend((action, event) for action in step.actions)

    def _keep(self, record: Record) -> None:
        if record == self.record:
            return
        self._file.write(record)
        has_moved = record.state != self.record.state
        self.record, self.trouble = record, None
        if has_moved:
            self._moved()

    def _refuse(self, event: Event, code: int, why: str) -> None:
        """Nothing has changed; who asks is told, and what has happened is tried again."""
        if isinstance(event, Offered | Cancelled):
            self._answer(event, Answer(state="rejected", problem=Problem(code=code, message=why)))
            return
        self._events.appendleft(event)
        self._wait(why)
        if isinstance(event, Breached) and self.record.previous is not None:
            with suppress(PlumblineError):  # the line waits for no disk to be rid of a bad bundle
                self._duties.go_back_to(self.record.previous)

    def _pay(self) -> None:
        action, event = self._owed[0]
        try:
            self._act(action, event)
        except DepotError as error:
            own, state = self.record.instruction, self.record.state
            if error.code == 507 or own is None or state not in ("probation", "rolling_back"):
                self._wait(str(error))
                return
            self._owed.clear()
            bad = Breached(transaction=own.transaction, problem=problem_of(error))
            lost = Happened(what="lost", transaction=own.transaction)
            self._events.appendleft(bad if state == "probation" else lost)
            return
        self._owed.popleft()

    def _act(self, action: Action, event: Event | None) -> None:
        match action:
            case Point(link=link, at=at):
                self._depot.point(link, at)
            case Answer():
                if event is not None:
                    self._answer(event, action)
            case TakeUp(offered=offered):
                self._events.append(offered)
            case Do(what=what):
                self._events.extend(self._duties.do(what, self.record))

    def _wait(self, why: str) -> None:
        if self.trouble != why:
            log.error("rollout_waits", reason=shown(why))
        self.trouble = why
        self._retry_ns = self._clock.monotonic_ns() + round(RETRY_S * 1e9)
