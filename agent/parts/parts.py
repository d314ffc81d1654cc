"""Part verdicts of a running station: views in, in the order of their records; part verdicts out, durable.

A listener of the publisher; a thread of the crew does the rest. What is decided is in the file with its number
before the outbox gets it, and leaves the file once the outbox has it. Views that did not come by the listener,
because the process ended or the thread was held up, are read from the outbox by their sequence.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
from pydantic import ValidationError

from agent.clock import Clock
from agent.contract.events import EventMaker
from agent.contract.part import PartVerdict, part_row
from agent.contract.row import Changed, Row, Waiting
from agent.contract.verdict import Verdict
from agent.line.publish import ListenerError, Recorded
from agent.parts.counts import PartCounts
from agent.parts.file import DamagedPartsError, PartFile, PartsError, place
from agent.parts.grouping import due_ns, ended, passed, restored, taken
from agent.parts.verdict import Made, verdict_of
from agent.parts.view import Decided, Known, Rule, State, View, view_of
from agent.settings.camera import Camera
from agent.settings.parts import PartRule
from agent.settings.settings import Settings

VIEWS_WAITING = 1024  # more are read from the outbox
AT_ONCE = 64
LOOK_S = 0.25  # at whether to stop
AGAIN_S = 1.0
KEPT_EVERY = 1000  # verdicts of other cameras, after which it is kept how far they are taken

log = structlog.get_logger(__name__)


class Rows(Protocol):
    """The outbox. Each raises OutboxError."""

    def find(self, id_: str) -> Waiting | Changed | None: ...

    def verdicts(self, after: int, limit: int) -> tuple[Waiting | Changed, ...]: ...

    def last_sequence(self) -> int: ...

    def append(self, rows: Sequence[Row], on_committed: Callable[[], None] | None = None) -> Future[None]: ...


class PartListener(Protocol):
    """Who is told of part verdicts after their commit, in the outbox's thread; it must be quick."""

    def part_decided(self, part: PartVerdict) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Come:
    """A view, or another camera's verdict, and when it was committed."""

    sequence: int
    view: View | None
    at_ns: int


class PartVerdicts:
    """`recorded` is for the outbox's thread, `run` and `finish` for one thread at a time; the rest for any."""

    def __init__(
        self,
        rules: Sequence[Rule],
        file: PartFile,
        *,
        outbox: Rows,
        events: EventMaker,
        boot_id: str,
        clock: Clock,
        clock_synced: Callable[[], bool | None],
        listeners: Sequence[PartListener] = (),
    ) -> None:
        self.counts = PartCounts(rules)
        self._rules = {camera: rule for rule in rules for camera in rule.cameras}
        self._by_name = {rule.name: rule for rule in rules}
        self._file = file
        self._outbox = outbox
        self._events = events
        self._boot_id = boot_id
        self._clock = clock
        self._clock_synced = clock_synced
        self._listeners = tuple(listeners)
        self._come: queue.Queue[_Come] = queue.Queue(maxsize=VIEWS_WAITING)
        self._at_hand: list[_Come] = []  # taken out of the queue, and not kept yet
        self._missed = False  # a view found no room in the queue
        self._is_open = False
        self._states: dict[str, State] = {}
        self._taken = 0
        self._kept = 0  # up to which of them that is in the file
        self._sequence = 0
        self._pending: list[PartVerdict] = []  # in the file, and to be given to the outbox
        self._told: list[int] = []  # that it has, and the file may forget
        self._fault: str | None = None
        self._failed: str | None = None  # what a listener raised

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        verdict, now_ns = told.verdict, self._clock.monotonic_ns()
        view = None
        if verdict.camera in self._rules:
            view = view_of(verdict, captured_ns=told.item.captured_ns, committed_ns=now_ns)
        try:
            self._come.put_nowait(_Come(sequence=verdict.sequence, view=view, at_ns=now_ns))
        except queue.Full:
            self._missed = True

    def words(self) -> tuple[str, ...]:
        """What stands against it, in one sentence; empty when all is well."""
        fault = self._fault
        return () if fault is None else (f"Parts: {fault}",)

    def run(self, stop: threading.Event) -> None:
        """Decide as views come and time passes. Raises OutboxError, and ListenerError for who raised."""
        while not stop.is_set():
            try:
                self._turn(stop, self._wait_s())
                self._fault = None
            except PartsError as error:
                if self._fault is None:
                    log.error("parts_failed", reason=str(error))
                self._fault = str(error)
                stop.wait(AGAIN_S)

    def finish(self) -> None:
        """Take what is left, and close; what is open then is decided after the next start."""
        stop = threading.Event()
        try:
            with suppress(PartsError):  # it is taken from the outbox at the next start
                self._turn(stop, 0.0)
                self._keep({}, [])
        finally:
            self._file.close()

    def _wait_s(self) -> float:
        dues = [due_ns(self._by_name[name], state) for name, state in self._states.items()]
        due = min((one for one in dues if one is not None), default=None)
        if due is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, (due - self._clock.monotonic_ns()) / 1e9))

    def _turn(self, stop: threading.Event, wait_s: float) -> None:
        if not self._is_open:
            self._open()
        if self._pending:  # of a run before, or where the outbox had no room
            self._tell(stop)
        now_ns = self._gather(wait_s)
        self._decide(now_ns)
        self._at_hand = []
        self._tell(stop)
        if self._failed is not None:
            raise ListenerError(self._failed)

    def _open(self) -> None:
        try:
            kept = self._file.open()
        except DamagedPartsError as error:
            self._set_aside(error)
            kept = self._file.open()
        self._taken = self._outbox.last_sequence() if kept.taken is None else kept.taken
        self._kept, self._sequence = self._taken, kept.sequence
        if self._taken > self._outbox.last_sequence():  # it is another outbox, and counts anew
            self._taken = self._outbox.last_sequence()
        self._pending = [part for part in kept.parts if self._outbox.find(part.result_id) is None]
        self._told = [part.sequence for part in kept.parts if part not in self._pending]
        now_ns = self._clock.monotonic_ns()
        left: list[tuple[Rule, Decided]] = []
        self._states = {name: State() for name in self._by_name}
        changed: dict[str, Known | None] = {}
        for name, one in kept.known.items():
            if self._by_name.get(name) == one.rule:
                self._states[name] = restored(one.state, now_ns)
                continue
            _, decided = ended(one.rule, one.state, now_ns)
            left += [(one.rule, each) for each in decided]
            changed[name] = None
            if name in self._by_name:
                changed[name] = Known(rule=self._by_name[name], state=State(last=one.state.last))
                self._states[name] = State(last=one.state.last)
        self._is_open = True
        self._keep(changed, left)
        self._missed = True  # what was recorded since the last end is in the outbox alone

    def _set_aside(self, error: PartsError) -> None:
        away = self._file.set_aside(self._clock.utc_now().strftime("%Y%m%dT%H%M%SZ"))
        detail = f"{error}; it lies in {away} now. Parts that were open are not told, part verdicts go on"
        log.error("parts_set_aside", detail=detail)
        self._outbox.append([self._events.row("parts_set_aside", "alarm", detail, moved_to=str(away))])

    def _gather(self, wait_s: float) -> int:
        """Have at hand what has come; the time before which everything that was committed is."""
        come: list[_Come] = []
        if not self._at_hand and not self._missed and wait_s > 0:
            with suppress(queue.Empty):
                come.append(self._come.get(timeout=wait_s))
        now_ns = self._clock.monotonic_ns()
        missed, self._missed = self._missed, False
        while len(come) < VIEWS_WAITING:
            try:
                come.append(self._come.get_nowait())
            except queue.Empty:
                break
        last = self._outbox.last_sequence() if missed else 0
        for one in come:
            self._fill(one.sequence - 1)
            if one.sequence > self._last_at_hand():
                self._at_hand.append(one)
        self._fill(last)
        return now_ns

    def _last_at_hand(self) -> int:
        return self._at_hand[-1].sequence if self._at_hand else self._taken

    def _fill(self, last: int) -> None:
        """Have at hand what the outbox has up to `last` and nobody brought."""
        if last > self._last_at_hand():
            self._at_hand += self._read(self._last_at_hand(), last)

    def _read(self, after: int, last: int) -> list[_Come]:
        """Verdicts behind `after` up to `last`; those that the outbox does not have any more are told."""
        found: list[_Come] = []
        at, lost, changed = after, last - after, 0
        while at < last:
            rows = self._outbox.verdicts(at, AT_ONCE)
            for row in rows:
                number = row.sequence if isinstance(row, Changed) else row.row.sequence
                if number is None or number > last:
                    continue
                lost -= 1
                if (one := self._come_of(row, number)) is None:
                    changed += 1
                else:
                    found.append(one)
            numbers = [one.sequence if isinstance(one, Changed) else one.row.sequence for one in rows]
            at = max((one for one in numbers if one is not None), default=last)
        if lost + changed > 0:
            self.counts.lost(lost + changed)
            log.warning("part_views_lost", after=after, last=last, lost=lost + changed)
            detail = (
                f"{lost + changed} verdicts from {after + 1} to {last} are not in the outbox any more, or are not"
                " what was committed: parts that they are views of are undecided, or not told; keep"
                " outbox.history_days above the time that the agent may stand still"
            )
            row_ = self._events.row("part_views_lost", "warning", detail, lost=lost + changed)
            self._outbox.append([row_])
        if not found or found[-1].sequence < last:
            found.append(_Come(sequence=last, view=None, at_ns=self._clock.monotonic_ns()))
        return found

    def _come_of(self, row: Waiting | Changed, sequence: int) -> _Come | None:
        """None for one that is not what was committed."""
        if isinstance(row, Changed):
            return None
        try:
            verdict = Verdict.model_validate_json(row.row.payload)
        except ValidationError:  # of another version
            return None
        view = view_of(verdict) if verdict.camera in self._rules else None
        return _Come(sequence=sequence, view=view, at_ns=self._clock.monotonic_ns())

    def _decide(self, now_ns: int) -> None:
        states, decided = dict(self._states), list[tuple[Rule, Decided]]()
        taken_ = self._taken
        for one in self._at_hand:
            taken_ = one.sequence
            if one.view is None:
                continue
            rule = self._rules[one.view.camera]
            states[rule.name], done = taken(rule, states[rule.name], one.view, one.at_ns)
            decided += [(rule, each) for each in done]
        for name, rule in self._by_name.items():
            states[name], done = passed(rule, states[name], now_ns)
            decided += [(rule, each) for each in done]
        changed = {
            name: Known(rule=self._by_name[name], state=state)
            for name, state in states.items()
            if state != self._states[name]
        }
        before, self._taken = self._taken, taken_
        if changed or taken_ - self._kept >= KEPT_EVERY or (self._told and not self._at_hand):
            try:
                self._keep(changed, decided)
            except PartsError:
                self._taken = before
                raise
        self._states = states
        self.counts.open({name: len(state.groups) for name, state in states.items()})

    def _keep(self, changed: Mapping[str, Known | None], decided: Sequence[tuple[Rule, Decided]]) -> None:
        parts = [
            verdict_of(rule, one, self._made(self._sequence + number))
            for number, (rule, one) in enumerate(decided, start=1)
        ]
        self._file.keep(self._taken, self._sequence + len(parts), changed, parts, self._told)
        self._sequence += len(parts)
        self._kept, self._told = self._taken, []
        self._pending += parts
        for part, (_, one) in zip(parts, decided, strict=True):
            self.counts.decided(part, max((view.committed_ns or 0 for view in one.views), default=0))

    def _made(self, sequence: int) -> Made:
        return Made(
            sequence=sequence,
            boot_id=self._boot_id,
            station=self._events.topics.station,
            created=self._clock.utc_now(),
            clock_synced=self._clock_synced(),
        )

    def _tell(self, stop: threading.Event) -> None:
        """Give the outbox what it is to have, and wait for its commit, or the stop. Raises OutboxError."""
        given: list[tuple[PartVerdict, Future[None]]] = []
        for part in self._pending:
            row = part_row(self._events.topics, part)
            given.append((part, self._outbox.append([row], lambda part=part: self._announce(part))))  # type: ignore[misc]
        self._pending = []
        for part, appended in given:
            while not appended.done():
                wait([appended], LOOK_S)
                if stop.is_set() and not appended.done():
                    return  # it stays in the file
            appended.result()
            self._told.append(part.sequence)

    def _announce(self, part: PartVerdict) -> None:
        """In the outbox's thread: it is durable, now others may know."""
        self.counts.committed(part, self._clock.monotonic_ns())
        for listener in self._listeners:
            try:
                listener.part_decided(part)
            except Exception as error:  # raised on, it would end the outbox
                name = type(listener).__name__
                self._failed = f"{name} raised {error!r} at part verdict {part.sequence}, which is kept"
                log.error("listener_failed", listener=name, part=part.sequence, exc_info=error)


def make_part_verdicts(
    wanted: Settings,
    outbox: Rows,
    events: EventMaker,
    *,
    boot_id: str,
    clock: Clock,
    clock_synced: Callable[[], bool | None],
    listeners: Sequence[PartListener] = (),
) -> PartVerdicts | None:
    """None where the settings have no part rule."""
    if not wanted.parts:
        return None
    return PartVerdicts(
        [rule_of(one, wanted.cameras) for one in wanted.parts],
        PartFile(place(wanted.outbox.path)),
        outbox=outbox,
        events=events,
        boot_id=boot_id,
        clock=clock,
        clock_synced=clock_synced,
        listeners=listeners,
    )


def rule_of(wanted: PartRule, cameras: Sequence[Camera]) -> Rule:
    """With the cameras that name it."""
    members = [camera for camera in cameras if camera.part_rule == wanted.name]
    return Rule(
        name=wanted.name,
        by=wanted.by,
        cameras=tuple(camera.name for camera in members),
        timeout_ns=round(wanted.timeout_s * 1e9),
        window_ticks=wanted.window_ticks,
        offsets={camera.name: camera.offset_ticks for camera in members if camera.offset_ticks},
    )
