"""How settings come into force and stay there, or go back: from a document, from the file, after any crash.

The same states as a bundle's rollout, with the same record before every act: a document is on disk before it
is taken up, its settings before they are tried, and a link names what should run, which is `target`. Whoever
runs it says that it does, or why it cannot. Belongs to one thread, but for `offer` and `reload`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.clock import Clock
from agent.contract.commands import NotDoneError
from agent.foreign import shown
from agent.remote.rollout.rollout_file import NotWritable, RolloutFile
from agent.remote.rollout.transaction import (
    LIMITS,
    Answer,
    Boundary,
    Breached,
    Duty,
    Event,
    Happened,
    Instruction,
    Limits,
    Link,
    Problem,
    Record,
    Refused,
    Stopped,
)
from agent.remote.settings.answers import SettingsAnswers
from agent.remote.settings.arrivals import Arrivals
from agent.remote.settings.desired import Flaw, Unfit
from agent.remote.settings.edits import Edits, given_up
from agent.remote.settings.offer import HAND
from agent.remote.settings.proof import SettingsProof
from agent.remote.settings.proposal import Proposal
from agent.remote.settings.steps import Steps
from agent.remote.settings.store import SettingsStore, Snapshot
from agent.remote.settings.target import Running, Target, Trial, Ways
from agent.settings.settings import SettingsError


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
        self._store = store
        self._ways = ways
        self._clock = clock
        self._steps = Steps(
            file=RolloutFile(path=store.record), hands=self, moved=self.answers.moved, limits=limits
        )
        self._edits = Edits(store, ways, clock, steps=self._steps, propose=self._propose, end=self._end)
        self._arrivals = Arrivals(
            store, ways, clock, answers=self.answers, steps=self._steps, in_force=lambda: self.target.settings
        )
        self._proof = SettingsProof(told, clock)
        self._running: Running | None = None
        self._has_run = False  # anything, in this process
        self._proposal: Proposal | None = None
        self._trial: Trial | None = None
        self._target: Target | None = None
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
    def is_going_back(self) -> bool:
        return self._record.state == "rolling_back"

    @property
    def is_busy(self) -> bool:
        return self._record.state != "idle"

    @property
    def state(self) -> str | None:
        """Of what is under way; None where nothing is. From any thread."""
        state = self._record.state
        return None if state == "idle" else state.replace("_", " ")

    @property
    def is_proving(self) -> bool:
        return self._proof.is_going_on

    @property
    def wished(self) -> str | None:
        """The name of the settings that somebody asked for last by a command."""
        return self._edits.wished

    @property
    def expiry_checked(self) -> bool:
        """Of the last document."""
        return self._arrivals.expiry_checked

    @property
    def _record(self) -> Record:
        return self._steps.record

    def words(self) -> tuple[str, ...]:
        """What people should know, one sentence each."""
        return tuple(filter(None, (self._edits.file.words, self._trouble, self._steps.trouble)))

    def start(self) -> Target:
        """What is to run first; nothing but this machine's disk is asked. Raises SettingsError for none."""
        try:
            self._store.prepare()
        except NotWritable as error:
            self._trouble = str(error)
        self.answers.load()
        named = self._store.named("current")
        self._steps.begin(self._store.links, self._clock.boot())
        self._retarget()
        if named is not None and self._store.read(named) is None:
            self._trouble = self.answers.lost(named)
        self._steps.go_on()
        self._edits.begin()
        return self.target

    def attach(self, running: Running) -> None:
        """A run has begun by the target."""
        self._running, self._has_run = running, True
        self.in_force(self.target)
        if self._record.state == "proving" and not self._proof.is_going_on:
            for event in self._prove(self._record.instruction):
                self._steps.happened(event)

    def detach(self) -> None:
        """That run is over, and what it was asked to prove."""
        self._running = self._trial = None
        self._proof.give_up()

    def in_force(self, target: Target) -> None:
        """These settings run."""
        record, instruction = self._record, self._record.instruction
        if target.snapshot is None:
            try:
                self._target = replace(target, snapshot=self._edits.file.keep_first())
            except NotWritable as error:
                self._trouble = str(error)
        elif instruction is None:
            return
        elif record.state == "probation" and target.snapshot == instruction.target_sha256:
            self._begin_trial(instruction)
        elif record.state == "rolling_back" and target.snapshot == record.previous:
            self._steps.happened(Happened(what="restored", transaction=instruction.transaction))

    def failed(self, reason: str) -> Target | None:
        """The target cannot run; what is to run in its place, None where there is nothing else.

        Of a document the answer tells it, of the settings file whoever looks at the station is told.
        """
        tried, instruction = self.target.snapshot, self._record.instruction
        is_edit = instruction is None or instruction.issuer == HAND
        if is_edit and (self._has_run or self.is_busy):
            self._edits.file.refuse(reason)
        if instruction is None:
            return None
        if self._record.state == "probation" and tried == instruction.target_sha256:
            self._breach(instruction, 422, shown(reason.splitlines()[0]))
        elif self._record.state == "rolling_back" and tried == self._record.previous:
            self._steps.happened(Happened(what="lost", transaction=instruction.transaction))
        return None if self.target.snapshot == tried else self.target

    def offer(self, envelope: bytes) -> None:
        """A document came; from any thread."""
        self._arrivals.offer(envelope)

    def reload(self) -> None:
        """Somebody wants the settings file to be looked at; from any thread."""
        self._edits.reload()

    def wish(self, patch: Mapping[str, Any], who: str, onto: str | None) -> NotDoneError | None:
        """Somebody who may command the station wants these members: an edit; why not, where it is not one.

        With `onto`, the digest of the settings that they looked at, only while those are in force.
        """
        if onto is not None and not self.is_busy and onto != (found := self.target.settings.digest()):
            words = f"onto: somebody has changed the settings meanwhile, they are {found} now; look again"
            return NotDoneError("impossible", words)
        return self._edits.wish(patch, who)

    def turn(self) -> bool:
        """Take what came and go on; whether the settings file was looked at because somebody asked."""
        self._steps.go_on()
        self._take_proof()
        self._look()
        if self._edits.is_asked:
            return self._edits.take_request()
        if self.is_busy:
            stands_s = 0.0 if self._trial is None else self._trial.stands_s()
            if (
                why := self._arrivals.hear(f"another document is {self._record.state}", stands_s)
            ) is not None:
                self._end(why)
        elif self._running is None:
            self._arrivals.take()
        elif (waits := self._running.begin(self._arrivals.take)) is not None:
            self._arrivals.hear(waits)
        return False

    def stop(self) -> None:
        """The process ends in order: that is no failed attempt."""
        self._steps.happened(Stopped())

    def _propose(self, proposal: Proposal) -> None:
        self._proposal = proposal

    def _end(self, why: str) -> None:
        """Have the transaction come to an end, where it may."""
        instruction, problem = self._record.instruction, Problem(code=409, message=why)
        if instruction is None:
            return
        if self._record.state == "proving":
            self._proof.give_up()
            self._steps.happened(Refused(transaction=instruction.transaction, problem=problem))
        elif self._record.state == "probation":
            self._trial = None
            self._breach(instruction, 409, why)

    def _verify(self, instruction: Instruction) -> Event:
        found = self._arrivals.verify(instruction)
        if isinstance(found, Unfit):
            return self._flawed(instruction, found.code, found.flaws)
        self.answers.merged(found.overwritten, found.held)
        self._proposal = found
        return Happened(what="verified", transaction=instruction.transaction)

    def _flawed(self, instruction: Instruction, code: int, flaws: Sequence[Flaw]) -> Event:
        self.answers.flawed(flaws)
        first = flaws[0]
        words = f"{first.path}: {first.message}" if first.path else first.message
        return Refused(transaction=instruction.transaction, problem=Problem(code=code, message=words))

    def _prove(self, instruction: Instruction | None) -> list[Event]:
        """Begin it; without a run it is begun with the next one."""
        if instruction is None or self._proposal is None:
            return []
        if instruction.issuer == HAND:  # whoever edits the file is told by what comes of it
            return [Happened(what="proven", transaction=instruction.transaction)]
        if self._running is not None:
            wanted = self._ways.settings(self._proposal.snapshot.data)
            self._proof.begin(self._running, wanted, self.target.settings)
        return []

    def _breach(self, instruction: Instruction, code: int, words: str) -> None:
        problem = Problem(code=code, message=words)
        self._steps.happened(Breached(transaction=instruction.transaction, problem=problem))

    def _take_proof(self) -> None:
        found, instruction = self._proof.take(), self._record.instruction
        if found is None or instruction is None:
            return
        if found.flaws:
            self._steps.happened(self._flawed(instruction, found.code, found.flaws))
        else:
            self._steps.happened(Happened(what="proven", transaction=instruction.transaction))

    def _begin_trial(self, instruction: Instruction) -> None:
        before, now = self._store.read(self._record.previous), self.snapshot
        if instruction.issuer == HAND or before is None or now is None or before.data == now.data:
            self._steps.happened(Happened(what="stable", transaction=instruction.transaction))
        elif self._running is not None:
            baseline, was = self._record.baseline, self._ways.settings(before.data)
            self._trial = self._running.trial(self.target.settings, was, baseline)

    def _look(self) -> None:
        instruction = self._record.instruction
        if self._trial is None or instruction is None:
            return
        standing = self._trial.look()
        if standing.what == "goes_on":
            return
        self._trial = None
        if standing.what == "stable":
            self._steps.happened(Happened(what="stable", transaction=instruction.transaction))
        else:
            self._breach(instruction, 422, standing.words)

    def point(self, link: Link, at: str | None) -> None:
        """For the steps."""
        self._store.point(link, at)
        if link == "current":
            self._retarget()

    def answer(self, answer: Answer) -> None:
        """For the steps."""
        if answer.state == "unchanged":
            self.answers.unchanged()
        elif answer.problem is not None:
            self._store.drop_candidate()
            self.answers.say("rejected", answer.problem.code, [Flaw(message=answer.problem.message)])

    def do(self, what: Duty, record: Record) -> list[Event]:
        """For the steps: what came of a duty."""
        instruction = record.instruction
        if instruction is None:
            self._store.drop_candidate()
            return []
        transaction, target = instruction.transaction, instruction.target_sha256
        match what:
            case "fetch" | "verify" if instruction.issuer == HAND and self._proposal is None:
                return [given_up(record, transaction)]  # its process died; the file is read anew
            case "fetch":
                return [Happened(what="present", transaction=transaction)]
            case "verify" if instruction.issuer == HAND:
                return [Happened(what="verified", transaction=transaction)]
            case "verify":
                return [self._verify(instruction)]
            case "place" if self._proposal is not None:
                self._store.place(target, self._proposal.snapshot)
            case "prove":
                return self._prove(instruction)
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
                if record.state == "failed":
                    self._store.drop(target)
            case "clean_up":
                self._store.clean_up()
            case "fail_safe":
                self._trouble = "no settings that were kept here are whole; those of the file are in force"
                self._retarget()
            case "report":
                self._proposal = None
                return [Happened(what="finished", transaction=transaction)]
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
