"""The record first, then what it asks for: how steps of a rollout of settings become durable, and are done.

What a disk does not take is owed, and tried again when there is a next turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from agent.remote.rollout import rollout
from agent.remote.rollout.rollout_file import NotWritable, RolloutFile
from agent.remote.rollout.transaction import (
    Action,
    Answer,
    Do,
    Duty,
    Event,
    Limits,
    Link,
    Links,
    Point,
    Record,
    Step,
    TakeUp,
)


class Hands(Protocol):
    """Whoever does what a step asks for; each may raise NotWritable."""

    def point(self, link: Link, at: str | None) -> None: ...
    def answer(self, answer: Answer) -> None: ...
    def do(self, what: Duty, record: Record) -> Iterable[Event]: ...


@dataclass(slots=True, kw_only=True)
class Steps:
    """Belongs to one thread; `moved` is told of every record that is another one than before."""

    file: RolloutFile
    hands: Hands
    moved: Callable[[Record, Record], None]
    limits: Limits
    record: Record = field(default_factory=Record)
    trouble: str | None = None  # why something is owed, or was lost
    _events: deque[Event] = field(default_factory=deque)
    _owed: deque[Action] = field(default_factory=deque)

    def begin(self, links: Callable[[], Links], boot_id: str) -> None:
        """As a process does; the links are set when this returns, where the disk takes it."""
        self.record, self.trouble = self.file.read()
        try:
            self._owe(rollout.start(self.record, links(), boot_id, self.limits))
            while self._owed and isinstance(self._owed[0], Point):
                self._act(self._owed[0])
                self._owed.popleft()
        except NotWritable as error:
            self.trouble = str(error)

    def happened(self, event: Event) -> None:
        """Something did; what comes of it is done where the disk takes it."""
        self._events.append(event)
        self.go_on()

    def try_once(self, event: Event) -> None:
        """The same, of something that is not tried again. Raises NotWritable; then nothing has changed."""
        self._owe(rollout.step(self.record, event, self.limits))
        self.go_on()

    def go_on(self) -> None:
        """With all that can be done now."""
        try:
            while self._owed or self._events:
                if self._owed:
                    self._act(self._owed[0])
                    self._owed.popleft()
                else:
                    self._owe(rollout.step(self.record, self._events[0], self.limits))
                    self._events.popleft()
        except NotWritable as error:
            self.trouble = str(error)

    def _owe(self, step: Step) -> None:
        if step.record != self.record:
            self.file.write(step.record)
            was, self.record, self.trouble = self.record, step.record, None
            self.moved(was, step.record)
        self._owed.extend(step.actions)

    def _act(self, action: Action) -> None:
        match action:
            case Point(link=link, at=at):
                self.hands.point(link, at)
            case Answer():
                self.hands.answer(action)
            case TakeUp(offered=offered):
                self._events.append(offered)
            case Do(what=what):
                self._events.extend(self.hands.do(what, self.record))
