"""How settings come into force and stay there, or go back: from a document, from the file, after any crash.

The same states as a bundle's rollout, with the same record before every act: a document is on disk before it
is taken up, its settings before they are tried, and a link names what should run, which is `target`. Whoever
runs it says that it does, or why it cannot. An edit of the settings file is a transaction, too, with a person
in place of probation. Belongs to one thread, but for `offer` and `reload`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from agent.address import masked_text
from agent.clock import Clock, new_uuid7, rfc3339
from agent.contract.desired import read_settings
from agent.foreign import shown
from agent.remote import rollout
from agent.remote.baseline import Baseline
from agent.remote.desired import Flaw, Unfit, opened
from agent.remote.probation import Standing
from agent.remote.proposal import Proposal, edited, forbidden, proposed
from agent.remote.rollout_file import NotWritable, RolloutFile
from agent.remote.settings_answers import SettingsAnswers
from agent.remote.settings_offer import HAND, edit, station_of, weigh
from agent.remote.settings_store import SettingsStore, Snapshot, digest
from agent.remote.transaction import (
    LIMITS,
    Action,
    Answer,
    Boundary,
    Breached,
    Cancelled,
    Do,
    Duty,
    Event,
    Happened,
    Instruction,
    Limits,
    Point,
    Problem,
    Record,
    Refused,
    Step,
    Stopped,
    TakeUp,
)
from agent.settings.problems import dotted
from agent.settings.settings import Settings, SettingsError
from agent.trust.trust_set import TrustSet

log = structlog.get_logger(__name__)

WAITING = 64  # documents, of which the last ones count


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Settings that are to be in force; `snapshot` names them, None before anything is kept of them."""

    snapshot: str | None
    settings: Settings


class Trial(Protocol):
    def look(self) -> Standing:
        """How the settings on probation stand."""


class Running(Protocol):
    """The run that is going on, as far as a change of its settings needs it."""

    def prove(self, wanted: Settings, before: Settings) -> Sequence[Flaw]:
        """What speaks against these settings on this machine; may take long, in a thread of its own."""

    def baseline(self) -> Baseline | None:
        """The health of the settings that run."""

    def trial(self, wanted: Settings, before: Settings, baseline: Baseline | None) -> Trial:
        """Of settings that have just come into force in place of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """To what the settings file says, where it is good on its own, and from data to settings; both raise
    SettingsError. To the keys that may sign, or why there are none and what to do about it.
    """

    file: Callable[[], dict[str, Any]]
    settings: Callable[[Mapping[str, Any]], Settings]
    trust: Callable[[Settings], TrustSet | str]


class SettingsRollout:
    """Of one station."""

    def __init__(
        self,
        store: SettingsStore,
        ways: Ways,
        clock: Clock,
        *,
        told: Callable[[], None] = lambda: None,
        limits: Limits = LIMITS,
    ) -> None:
        """`told` is called when there is something new, from any thread."""
        self.answers = SettingsAnswers(store, clock, told)
        self.expiry_checked = False  # of the last document
        self._store = store
        self._ways = ways
        self._clock = clock
        self._told = told
        self._limits = limits
        self._file = RolloutFile(path=store.record)
        self._record = Record()
        self._events: deque[Event] = deque()
        self._owed: deque[Action] = deque()
        self._arrived: deque[bytes] = deque(maxlen=WAITING)
        self._asked = threading.Event()  # to look at the settings file
        self._proofs: deque[tuple[object, Sequence[Flaw]]] = deque()
        self._proof: object = None  # the one that is waited for
        self._running: Running | None = None
        self._proposal: Proposal | None = None
        self._trial: Trial | None = None
        self._target: Target | None = None
        self._refused: str | None = None
        self._trouble: str | None = None

    @property
    def target(self) -> Target:
        """What should run now; `start` comes first."""
        assert self._target is not None
        return self._target

    @property
    def snapshot(self) -> Snapshot | None:
        """Of the target."""
        return self._store.read(self.target.snapshot)

    @property
    def is_busy(self) -> bool:
        return self._record.state != "idle"

    def words(self) -> tuple[str, ...]:
        """What people should know, one sentence each."""
        return tuple(one for one in (self._refused, self._trouble) if one is not None)

    def start(self) -> Target:
        """What is to run first; nothing but this machine's disk is asked. Raises SettingsError for none."""
        local, unread = self._read_file()
        try:
            self._store.prepare()
            self._record, self._trouble = self._file.read()
            self.answers.load()
            self._owe(rollout.start(self._record, self._store.links(), self._clock.boot(), self._limits))
            while self._owed and isinstance(self._owed[0], Point):
                self._act(self._owed.popleft())
        except NotWritable as error:
            self._trouble = str(error)
        self._retarget()
        self._try_to_go_on()
        if unread is not None:
            self.refuse(str(unread))
        elif local is not None and self._edited(local) is not None:
            if self.is_busy:
                self._asked.set()  # once that has ended
            else:
                self._take_edit(local, by_request=False)
        return self.target

    def attach(self, running: Running) -> None:
        """A run has begun by the target."""
        self._running = running
        self.in_force(self.target)
        if self._record.state == "proving" and self._proof is None:
            self._events.extend(self._prove())
            self._try_to_go_on()

    def detach(self) -> None:
        """That run is over, and what it was asked to prove."""
        self._running = self._trial = self._proof = None

    def in_force(self, target: Target) -> None:
        """These settings run."""
        record, instruction = self._record, self._record.instruction
        if target.snapshot is None:
            self._keep_first()
        elif instruction is None:
            return
        elif record.state == "probation" and target.snapshot == instruction.target_sha256:
            self._begin_trial(instruction)
        elif record.state == "rolling_back" and target.snapshot == record.previous:
            self._events.append(Happened(what="restored", transaction=instruction.transaction))
        self._try_to_go_on()

    def failed(self, reason: str) -> Target | None:
        """The target cannot run; what is to run in its place, None where there is nothing else."""
        tried, instruction = self.target.snapshot, self._record.instruction
        if instruction is None:
            return None
        if self._record.state == "probation" and tried == instruction.target_sha256:
            problem = Problem(code=422, message=shown(reason.splitlines()[0]))
            self._events.append(Breached(transaction=instruction.transaction, problem=problem))
        elif self._record.state == "rolling_back" and tried == self._record.previous:
            self._events.append(Happened(what="lost", transaction=instruction.transaction))
        else:
            return None
        self._try_to_go_on()
        return None if self.target.snapshot == tried else self.target

    def refuse(self, reason: str) -> None:
        """Have people told that what the settings file says is not in force, until it is."""
        first = masked_text(shown(reason.splitlines()[0]))
        self._refused = f"Settings read at {self._now()} were refused, those before stay in force: {first}"
        log.error("settings_refused", reason=masked_text(shown(reason)))

    def offer(self, envelope: bytes) -> None:
        """A document came; from any thread."""
        self._arrived.append(envelope)

    def reload(self) -> None:
        """Somebody wants the settings file to be looked at; from any thread."""
        self._asked.set()

    def turn(self) -> bool:
        """Take what came and go on; whether the settings file was looked at because somebody asked."""
        while self._proofs:
            self._take_proof(*self._proofs.popleft())
        self._look()
        self._try_to_go_on()
        if self._asked.is_set():
            return self._take_request()
        while self._arrived and not self.is_busy:
            self._take(self._arrived.popleft())
            self._try_to_go_on()
        return False

    def stop(self) -> None:
        """The process ends in order: that is no failed attempt."""
        self._events.append(Stopped())
        self._try_to_go_on()

    def _read_file(self) -> tuple[dict[str, Any] | None, SettingsError | None]:
        """What it says, where that is good on its own."""
        try:
            return self._ways.file(), None
        except SettingsError as error:
            return None, error

    def _edited(self, local: dict[str, Any]) -> Snapshot | None:
        active = self._store.current()
        return None if active is None else edited(active, local, now=self._now())

    def _take_request(self) -> bool:
        """Whether it is done with; what is under way is ended first, since a person stands at the station."""
        local, unread = self._read_file()
        if local is None:
            self._asked.clear()
            self.refuse(str(unread))
            return False
        if self.is_busy and self._edited(local) is not None:
            self._end("the settings file was edited on the station meanwhile; send it again")
            return False
        self._asked.clear()
        self._refused = None
        if not self.is_busy:
            self._take_edit(local, by_request=True)
        return self._refused is None

    def _take_edit(self, local: dict[str, Any], *, by_request: bool) -> None:
        candidate = self._edited(local)
        if candidate is None:
            return
        sha256 = digest({"data": candidate.data, "local": candidate.local})
        failures = [one for one in self._record.failed if one.target_sha256 == sha256]
        if failures and not by_request:
            self.refuse(f"they were tried before: {failures[-1].reason}")
            return
        try:
            self._ways.settings(candidate.data)
        except SettingsError as error:
            self.refuse(str(error))
            return
        self._proposal = Proposal(snapshot=candidate)
        self._events.append(
            edit(
                sha256,
                self._record,
                current=self._store.named("current"),
                clock=self._clock,
                transaction=new_uuid7(self._clock),
            )
        )
        try:
            self._go_on()
        except NotWritable as error:
            self._events.clear()
            self.refuse(str(error))

    def _end(self, why: str) -> None:
        """Have the transaction come to an end, where it may."""
        instruction, problem = self._record.instruction, Problem(code=409, message=why)
        if instruction is None:
            return
        if self._record.state == "proving":
            self._events.append(Refused(transaction=instruction.transaction, problem=problem))
        elif self._record.state == "probation":
            self._trial = None
            self._events.append(Breached(transaction=instruction.transaction, problem=problem))
        self._try_to_go_on()

    def _keep_first(self) -> None:
        """What has proved to run is what a station goes back to."""
        local, _ = self._read_file()
        if local is None or self._store.current() is not None:
            return
        snapshot = Snapshot(data=local, local=local, source="file", since=self._now())
        sha256 = digest({"data": snapshot.data, "local": snapshot.local})
        try:
            self._store.place(sha256, snapshot)
            self._store.point("current", sha256)
        except NotWritable as error:
            self._trouble = str(error)
        else:
            self._target = replace(self.target, snapshot=sha256)

    def _take(self, envelope: bytes) -> None:
        """Take a document up, or answer why not; an empty one says nothing at all."""
        if not envelope:
            return
        settings = self.target.settings
        offer = weigh(
            envelope,
            settings,
            self._ways.trust(settings),
            record=self._record,
            active=self._active(),
            current=self._store.named("current"),
            clock=self._clock,
            transaction=new_uuid7(self._clock),
        )
        if isinstance(offer, Unfit):
            self.answers.unfit(offer)
            return
        self.expiry_checked = offer.expiry_checked
        self.answers.begun(offer.found.document, offer.found.envelope_sha256)
        try:
            self._store.put_candidate(envelope)
            self._owe(rollout.step(self._record, offer.offered, self._limits))
        except NotWritable as error:
            self._store.drop_candidate()
            self._trouble = str(error)
            self.answers.say("rejected", error.code, [Flaw(message=str(error))])
            return
        self._try_to_go_on()
        if offer.late is not None:
            self.answers.unfit(offer.late)

    def _active(self) -> Snapshot:
        """What a document is put onto."""
        found = self._store.current()
        return Snapshot(data={}, local={}, source="file", since=self._now()) if found is None else found

    def _verify(self, instruction: Instruction) -> Event:
        """From the bytes on disk: what was read before may have died with its process."""
        settings = self.target.settings
        station = station_of(settings, self._ways.trust(settings))
        found = opened(self._store.candidate() or b"", "settings", read_settings, station)
        if isinstance(found, Unfit):
            return self._flawed(instruction, found.code, found.flaws)
        if found.sha256 != instruction.target_sha256:
            return self._flawed(instruction, 500, [Flaw(message="another document lies here; send it again")])
        active = self._active()
        if flaws := forbidden(found.document.settings, active):
            return self._flawed(instruction, 422, flaws)
        proposal = proposed(found, active, now=self._now())
        self.answers.merged(proposal.overwritten, proposal.held)
        try:
            self._ways.settings(proposal.snapshot.data)
        except SettingsError as error:
            found_flaws = [Flaw(path=dotted(keys), message=words) for keys, words in error.found]
            return self._flawed(instruction, 422, found_flaws or [Flaw(message=str(error))])
        self._proposal = proposal
        return Happened(what="verified", transaction=instruction.transaction)

    def _flawed(self, instruction: Instruction, code: int, flaws: Sequence[Flaw]) -> Event:
        self.answers.flawed(flaws)
        first = flaws[0]
        words = f"{first.path}: {first.message}" if first.path else first.message
        return Refused(transaction=instruction.transaction, problem=Problem(code=code, message=words))

    def _prove(self) -> list[Event]:
        """Begin it; without a run it is begun with the next one."""
        instruction, proposal, running = self._record.instruction, self._proposal, self._running
        if instruction is None or proposal is None:
            return []
        if instruction.issuer == HAND:  # whoever edits the file is told by what comes of it
            return [Happened(what="proven", transaction=instruction.transaction)]
        if running is None:
            return []
        self._proof = proof = object()
        wanted, before = self._ways.settings(proposal.snapshot.data), self.target.settings

        def prove() -> None:
            try:
                flaws = running.prove(wanted, before)
            except Exception as error:  # a driver raises what it likes
                flaws = [Flaw(message=f"{type(error).__name__}: {shown(str(error))}")]
            self._proofs.append((proof, flaws))
            self._told()

        threading.Thread(target=prove, name="settings-proof", daemon=True).start()
        return []

    def _take_proof(self, proof: object, flaws: Sequence[Flaw]) -> None:
        instruction = self._record.instruction
        if instruction is None or proof is not self._proof:
            return
        self._proof = None
        if flaws:
            code = 404 if flaws[0].path == "bundle" else 422
            self._events.append(self._flawed(instruction, code, flaws))
        else:
            self._events.append(Happened(what="proven", transaction=instruction.transaction))

    def _begin_trial(self, instruction: Instruction) -> None:
        before, now = self._store.read(self._record.previous), self.snapshot
        if instruction.issuer == HAND or before is None or now is None or before.data == now.data:
            self._events.append(Happened(what="stable", transaction=instruction.transaction))
        elif self._running is not None:
            was = self._ways.settings(before.data)
            self._trial = self._running.trial(self.target.settings, was, self._record.baseline)

    def _look(self) -> None:
        instruction = self._record.instruction
        if self._trial is None or instruction is None:
            return
        standing = self._trial.look()
        if standing.what == "stable":
            self._events.append(Happened(what="stable", transaction=instruction.transaction))
        elif standing.what == "breach":
            problem = Problem(code=422, message=standing.words)
            self._events.append(Breached(transaction=instruction.transaction, problem=problem))
        if standing.what != "goes_on":
            self._trial = None

    def _try_to_go_on(self) -> None:
        try:
            self._go_on()
        except NotWritable as error:  # what is owed is tried again at the next turn
            self._trouble = str(error)

    def _go_on(self) -> None:
        """All that can be done now. Raises NotWritable; then the rest is owed."""
        while self._owed or self._events:
            if self._owed:
                self._act(self._owed[0])
                self._owed.popleft()
            else:
                self._owe(rollout.step(self._record, self._events[0], self._limits))
                self._events.popleft()

    def _owe(self, step: Step) -> None:
        """The record first, then what it asks for."""
        if step.record != self._record:
            self._file.write(step.record)
            was, self._record = self._record, step.record
            instruction = step.record.instruction
            if was.state != step.record.state and instruction is not None and instruction.issuer != HAND:
                self.answers.moved(was, step.record)
        self._owed.extend(step.actions)

    def _act(self, action: Action) -> None:
        match action:
            case Point(link=link, at=at):
                self._store.point(link, at)
                if link == "current":
                    self._retarget()
            case Answer(state="unchanged"):
                self.answers.say("unchanged", 200, [])
            case Answer(problem=Problem(code=code, message=message)):
                self._store.drop_candidate()
                self.answers.say("rejected", code, [Flaw(message=message)])
            case Answer():
                pass
            case TakeUp(offered=offered):
                self._events.append(offered)
            case Do(what=what):
                self._events.extend(self._done(what))

    def _done(self, what: Duty) -> list[Event]:
        """What came of a duty."""
        instruction = self._record.instruction
        if instruction is None:
            self._store.drop_candidate()
            return []
        transaction, target = instruction.transaction, instruction.target_sha256
        match what:
            case "fetch" | "verify" if instruction.issuer == HAND and self._proposal is None:
                return [_given_up(self._record, transaction)]  # its process died; the file is read anew
            case "fetch":
                return [Happened(what="present", transaction=transaction)]
            case "verify" if instruction.issuer == HAND:
                return [Happened(what="verified", transaction=transaction)]
            case "verify":
                return [self._verify(instruction)]
            case "place" if self._proposal is not None:
                self._store.place(target, self._proposal.snapshot)
            case "prove":
                return self._prove()
            case "await_boundary":
                return [
                    Boundary(
                        transaction=transaction,
                        current=self._store.named("current"),
                        previous=self._store.named("previous"),
                        baseline=None if self._running is None else self._running.baseline(),
                    )
                ]
            case "discard":
                self._store.drop_candidate()
                if self._record.state == "failed":
                    self._store.drop(target)
            case "clean_up":
                self._store.clean_up()
            case "fail_safe":
                self._trouble = "no settings that were kept here are whole; those of the file are in force"
                self._retarget()
            case "report":
                self._proposal = None
                return [Happened(what="finished", transaction=transaction)]
            case _:
                pass
        return []

    def _retarget(self) -> None:
        """To what `current` names, or else to the file. Raises SettingsError where that is no good either."""
        named = self._store.named("current")
        if self._target is not None and named is not None and named == self._target.snapshot:
            return
        snapshot = self._store.read(named)
        if snapshot is not None:
            try:
                self._target = Target(snapshot=named, settings=self._ways.settings(snapshot.data))
                return
            except SettingsError as error:  # the program that kept them was another one
                self._trouble = f"settings that were kept here are no good any more: {error.problems[0]}"
        self._target = Target(snapshot=None, settings=self._ways.settings(self._ways.file()))

    def _now(self) -> str:
        return rfc3339(self._clock.utc_now())


def _given_up(record: Record, transaction: str) -> Event:
    if record.state == "downloading":
        return Cancelled(transaction=transaction)
    return Refused(transaction=transaction, problem=Problem(code=500, message="it was cut off"))
