"""Part verdicts of a running station: views in, in the order of their records; part verdicts out, durable.

A listener of the publisher; a thread of the crew does the rest. What is decided is in the file with its
number before the outbox gets it, and leaves the file once the outbox has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Protocol

import structlog

from agent.clock import Clock
from agent.contract.events import EventMaker
from agent.contract.part import PartVerdict, part_row
from agent.contract.row import Changed, Row, Waiting
from agent.foreign import shown
from agent.line.publish import ListenerError, Recorded
from agent.parts.counts import PartCounts
from agent.parts.file import DamagedPartsError, Kept, PartFile, PartsError, place
from agent.parts.grouping import due_ns, ended, passed, restored, taken
from agent.parts.intake import Intake, Verdicts
from agent.parts.verdict import Made, verdict_of
from agent.parts.view import Decided, Known, Rule, State, part_id_of
from agent.settings.camera import Camera
from agent.settings.parts import PartRule
from agent.settings.settings import Settings

LOOK_S = 0.25  # at whether to stop
AGAIN_S = 1.0
KEPT_EVERY = 1000  # verdicts of other cameras, after which it is kept how far they are taken

log = structlog.get_logger(__name__)


class Rows(Verdicts, Protocol):
    """The outbox. Each raises OutboxError."""

    def find(self, id_: str) -> Waiting | Changed | None: ...

    def append(self, rows: Sequence[Row], on_committed: Callable[[], None] | None = None) -> Future[None]: ...


class PartListener(Protocol):
    """Who is told of part verdicts after their commit, in the outbox's thread; it must be quick."""

    def part_decided(self, part: PartVerdict) -> None: ...


class PartVerdicts:
    """`recorded` is for the outbox's thread, `run` and `finish` for one at a time, the rest for any."""

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
        last_before: int,
        listeners: Sequence[PartListener] = (),
    ) -> None:
        """`last_before`: the last verdict before this run, behind which a station's first room begins."""
        self.counts = PartCounts(rules)
        self._rules = {camera: rule for rule in rules for camera in rule.cameras}
        self._by_name = {rule.name: rule for rule in rules}
        self._file = file
        self._outbox = outbox
        self._intake = Intake(self._rules, outbox, clock, self._note_lost)
        self._events = events
        self._boot_id = boot_id
        self._clock = clock
        self._clock_synced = clock_synced
        self._last_before = last_before
        self._listeners = tuple(listeners)
        self._is_open = False
        self._states: dict[str, State] = {}
        self._kept = 0  # up to which verdict is said in the file
        self._sequence = 0
        self._pending: list[PartVerdict] = []  # in the file, and to be given to the outbox
        self._told: list[int] = []  # that it has, and the file may forget
        self._fault: str | None = None
        self._failed: str | None = None  # what a listener raised

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        self._intake.recorded(told)

    def words(self) -> tuple[str, ...]:
        """What stands against it, in one sentence; empty when all is well."""
        fault = self._fault
        return () if fault is None else (f"Parts: {fault}",)

    def run(self, stop: threading.Event) -> None:
        """Decide as views come and time passes. Raises OutboxError, and ListenerError for who raised."""
        while not stop.is_set():
            try:
                self.turn(stop, self._wait_s())
                self._fault = None
            except PartsError as error:
                if self._fault is None:
                    log.error("parts_failed", reason=str(error))
                self._fault = str(error)
                stop.wait(AGAIN_S)

    def finish(self) -> None:
        """Take what is left, and close; what is open then is decided after the next start."""
        try:
            with suppress(PartsError):  # it is taken from the outbox at the next start
                self.turn(threading.Event(), 0.0)
                self._keep({}, [])
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file as it is; what was not taken is taken from the outbox at the next start."""
        self._file.close()

    def turn(self, stop: threading.Event, wait_s: float) -> None:
        """Take what comes within this time, and tell what it decides.

        Raises PartsError, after which the same is tried again, OutboxError and ListenerError.
        """
        if not self._is_open:
            self._open()
        try:
            self._tell(stop)  # of a run before
            self._decide(self._intake.gather(wait_s))
            self._tell(stop)
        except DamagedPartsError as error:
            self._begin_anew(error)
            raise
        if self._failed is not None:
            raise ListenerError(self._failed)

    def _wait_s(self) -> float:
        dues = [due_ns(self._by_name[name], state) for name, state in self._states.items()]
        due = min((one for one in dues if one is not None), default=None)
        if due is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, (due - self._clock.monotonic_ns()) / 1e9))

    def _open(self) -> None:
        try:
            kept = self._file.open()
            if self._is_older(kept):
                raise DamagedPartsError(
                    f"{shown(str(self._file.path))}: an older copy, which does not know of part verdicts "
                    "that the outbox has"
                )
        except DamagedPartsError as error:
            self._set_aside(error, "parts that were open are not told, part verdicts go on")
            kept = self._file.open()
        last = self._last_before  # less than was taken: it is another outbox, and counts anew
        begins = last if kept.taken is None else min(kept.taken, last)
        self._intake.begin(begins)
        self._sequence = kept.sequence
        self._pending = [part for part in kept.parts if self._outbox.find(part.result_id) is None]
        self._told = [part.sequence for part in kept.parts if part not in self._pending]
        now_ns, left = self._clock.monotonic_ns(), list[tuple[Rule, Decided]]()
        self._states = {name: State() for name in self._by_name}
        changed: dict[str, Known | None] = {}
        for name, one in kept.known.items():
            if self._by_name.get(name) == one.rule:
                self._states[name] = restored(one.state, now_ns, begins)
                continue
            changed[name] = None  # there is no such rule any more, or another one
            left += [(one.rule, each) for each in ended(one.rule, one.state, now_ns)[1]]
        self._keep(changed, left)
        self._is_open = True

    def _is_older(self, kept: Kept) -> bool:
        """Whether what is taken next was taken before: part verdicts and numbers would be given again."""
        if kept.taken is None:
            return False
        opened = (group.views for one in kept.known.values() for group in one.state.groups)
        come = ((view,) for view in self._intake.views(kept.taken, self._last_before))
        return any(self._outbox.find(part_id_of(views)) is not None for views in chain(opened, come))

    def _begin_anew(self, error: PartsError) -> None:
        """Another file with all that is known here; what was at hand is decided by the next turn."""
        self._set_aside(error, "what is known of open parts is written anew")
        self._sequence = max(self._sequence, self._file.open().sequence)
        self._keep(
            {name: Known(rule=self._by_name[name], state=state) for name, state in self._states.items()}, []
        )

    def _set_aside(self, error: PartsError, outcome: str) -> None:
        away = self._file.set_aside(self._clock.utc_now().strftime("%Y%m%dT%H%M%SZ"))
        detail = f"{error}; it lies in {away} now; {outcome}"
        log.error("parts_set_aside", detail=detail)
        self._outbox.append([self._events.row("parts_set_aside", "alarm", detail, moved_to=str(away))])

    def _note_lost(self, after: int, last: int, lost: int) -> None:
        self.counts.lost(lost)
        detail = (
            f"{lost} verdicts from {after + 1} to {last} are not in the outbox any more, or cannot be read"
            " there: parts that they are views of are undecided, or not told; keep outbox.history_days"
            " above the time that the agent may stand still"
        )
        log.warning("part_views_lost", detail=detail)
        row = self._events.row("part_views_lost", "warning", detail, after=after, last=last, lost=lost)
        self._outbox.append([row])

    def _decide(self, now_ns: int) -> None:
        states, decided = dict(self._states), list[tuple[Rule, Decided]]()
        for one in self._intake.at_hand:
            if one.view is not None:
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
        at_hand = self._intake.at_hand
        upto = at_hand[-1].sequence if at_hand else self._intake.taken
        if changed or upto - self._kept >= KEPT_EVERY or (self._told and not at_hand):
            self._keep(changed, decided, upto)
        self._intake.kept()
        self._states = states
        self.counts.open({name: len(state.groups) for name, state in states.items()})

    def _keep(
        self,
        changed: Mapping[str, Known | None],
        decided: Sequence[tuple[Rule, Decided]],
        upto: int | None = None,
    ) -> None:
        upto = self._intake.taken if upto is None else upto
        parts = [
            verdict_of(rule, one, self._made(self._sequence + number))
            for number, (rule, one) in enumerate(decided, start=1)
        ]
        self._file.keep(upto, self._sequence + len(parts), changed, parts, self._told)
        self._sequence += len(parts)
        self._kept, self._told = upto, []
        self._pending += parts
        for part, (_, one) in zip(parts, decided, strict=True):
            committed_ns = [view.committed_ns for view in one.views if view.committed_ns is not None]
            self.counts.decided(part, max(committed_ns, default=None))

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
        parts, self._pending = self._pending, []
        appended = [
            self._outbox.append([part_row(self._events.topics, part)], partial(self._announce, part))
            for part in parts
        ]
        for part, one in zip(parts, appended, strict=True):
            while not one.done():
                wait([one], LOOK_S)
                if stop.is_set() and not one.done():
                    return  # it stays in the file
            one.result()
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
    """None where the settings have no part rule, and never had one: what the last one left open is told."""
    path = place(wanted.outbox.path)
    if not wanted.parts and not path.exists():
        return None
    return PartVerdicts(
        [rule_of(one, wanted.cameras) for one in wanted.parts],
        PartFile(path),
        outbox=outbox,
        events=events,
        boot_id=boot_id,
        clock=clock,
        clock_synced=clock_synced,
        last_before=outbox.last_sequence(),
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
