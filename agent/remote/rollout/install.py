"""A bundle by hand: from a file, a folder or a stick into the depot, proven on this machine, and in force.

The same transaction as one from afar, with a person in place of probation: once it is proven it is committed,
and `roll_back` is the way back. A running station is not asked: it goes on with the bundle that it has opened
until its next reload or start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agent.bundle.bundle import SIGNATURE, Bundle, read_head
from agent.bundle.files import open_files
from agent.bundle.trust import NotTrusted
from agent.clock import Clock, new_uuid7, rfc3339
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.proof.document import NotProven
from agent.remote.rollout import rollout
from agent.remote.rollout.depot import Depot, DepotError
from agent.remote.rollout.rollout_file import RECORD, NotWritable, RolloutFile
from agent.remote.rollout.transaction import (
    HERE,
    Answer,
    Boundary,
    Breached,
    Cancelled,
    Do,
    Duty,
    Event,
    Happened,
    Instruction,
    Offered,
    Point,
    Problem,
    Record,
    Refused,
    Step,
    TakeUp,
)

ISSUER = "hand"
Tried: TypeAlias = Literal["fetch", "verify", "prove"]
Result: TypeAlias = Literal["present", "verified", "proven"]


class NotInstalled(PlumblineError):
    """The bundle was looked at and is not good here; what served before still does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a bundle has to stand before it serves here; both raise a PlumblineError."""

    trusted: Callable[[Bundle], None]
    good: Callable[[Bundle], None]  # on the engine that will serve, which is built and kept for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is in force; `is_new` is False where it was so already."""

    bundle: Bundle
    is_new: bool


class Hand:
    """Installs into one depot; its calls hold the depot, and go on first with what a crash cut."""

    def __init__(
        self, depot: Depot, proof: Proof, clock: Clock, *, kept_free: int, say: Callable[[str], None]
    ) -> None:
        """`kept_free` bytes stay free on the disk; `say` is told each step in one line."""
        self._depot = depot
        self._proof = proof
        self._clock = clock
        self._kept_free = kept_free
        self._say = say
        self._file = RolloutFile(path=depot.folder / RECORD)
        self._record = Record()
        self._own: Instruction | None = None
        self._source: Path | None = None
        self._events: deque[Event] = deque()

    def install(self, source: Path) -> Ended:
        """The bundle at `source` is `current` when this returns, and the one before it `previous`.

        Raises NotInstalled where it is not good; BundleError, NotTrusted or DepotError where nothing was
        begun.
        """
        with open_files(source) as there:
            head = read_head(there, source)
            self._proof.trusted(head)
            size = sum(there.sizes.values())
        with self._depot.held():
            self._end_what_was_cut()
            self._take_signature(head)
            self._source = source
            has_room = self._depot.has_room(size, kept_free=self._kept_free)
            return self._carried_through(head, has_room=has_room)

    def roll_back(self) -> Ended:
        """What was `previous` is `current` when this returns, proven once more. Raises as `install`."""
        with self._depot.held():
            self._end_what_was_cut()
            before = self._depot.named("previous")
            if before is None:
                raise DepotError(
                    f"{shown(str(self._depot.folder))}: no bundle was here before this one; install one", 404
                )
            return self._carried_through(self._depot.open(before), has_room=True)

    def _end_what_was_cut(self) -> None:
        """Before its trial a transaction is given up: whoever began it is no longer there."""
        self._record, trouble = self._file.read()
        if trouble is not None:
            self._say(trouble)
        if self._record.state != "idle":
            self._say(
                f"an install was cut off while {self._record.state.replace('_', ' ')}; it is ended first"
            )
        self._do(rollout.start(self._record, self._depot.links(), self._clock.boot()))
        self._go_on()

    def _carried_through(self, bundle: Bundle, *, has_room: bool) -> Ended:
        known = [one.counter for one in self._record.highest] + [one.counter for one in self._record.failed]
        self._own = Instruction(
            transaction=new_uuid7(self._clock),
            issuer=ISSUER,
            epoch=HERE,
            counter=max(known, default=0) + 1,
            envelope_sha256=bundle.sha256,
            target_id=bundle.manifest.name,
            target_sha256=bundle.sha256,
        )
        offered = Offered(
            instruction=self._own,
            boot_id=self._clock.boot(),
            at=rfc3339(self._clock.utc_now()),
            current=self._depot.named("current"),
            has_room=has_room,
        )
        self._events.append(offered)
        try:
            self._go_on()
        except NotWritable:
            self._depot.drop_candidate()  # it may be what fills the disk; its bytes are needed no more
            raise
        if self._record.instruction != self._own:
            return Ended(bundle=bundle, is_new=False)
        if self._record.outcome != "applied":
            raise NotInstalled("; ".join(one.message for one in self._record.errors))
        return Ended(bundle=bundle, is_new=True)

    def _take_signature(self, head: Bundle) -> None:
        """Of a bundle that is here already and that nobody who is trusted had signed."""
        signature = head.files.get(SIGNATURE)
        if signature is None or self._depot.fault_of(head.sha256) is not None:
            return
        try:
            self._proof.trusted(self._depot.open(head.sha256))
        except NotTrusted:
            self._depot.take_signature(head.sha256, signature)

    def _go_on(self) -> None:
        while self._events:
            self._do(rollout.step(self._record, self._events.popleft()))

    def _do(self, step: Step) -> None:
        """The record first, then what it asks for."""
        if step.record != self._record:
            self._file.write(step.record)
            self._record = step.record
        for action in step.actions:
            match action:
                case Point(link=link, at=at):
                    self._depot.point(link, at)
                case Answer(problem=Problem(code=code, message=message)):
                    raise DepotError(f"{shown(str(self._depot.folder))}: {message}", code)
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
            self._depot.drop_candidate()
            return []
        transaction, target = instruction.transaction, instruction.target_sha256
        if what in ("fetch", "verify", "prove", "await_boundary") and instruction != self._own:
            return [self._given_up(transaction)]
        match what:
            case "fetch" | "verify" | "prove":
                try:
                    return [Happened(what=self._tried(what, target), transaction=transaction)]
                except PlumblineError as error:
                    problem = Problem(code=_code(error), message=str(error))
                    return [Refused(transaction=transaction, problem=problem)]
            case "place":
                self._depot.place(target)
            case "await_boundary":
                return [
                    Boundary(
                        transaction=transaction,
                        current=self._depot.named("current"),
                        previous=self._depot.named("previous"),
                    )
                ]
            case "observe" if self._record.state == "rolling_back":
                return [Happened(what="restored", transaction=transaction)]
            case "observe" if instruction.is_by(ISSUER):
                return [Happened(what="stable", transaction=transaction)]
            case "observe":  # a station was watching it, and nobody knows how it did
                unseen = Problem(code=409, message="its probation was ended by hand, without its station")
                return [Breached(transaction=transaction, problem=unseen)]
            case "discard":
                self._depot.drop_candidate()
                if self._record.state == "failed":
                    self._depot.drop(target)
            case "clean_up":
                self._depot.clean_up()
            case "fail_safe":
                self._say("no bundle here is whole: none is in force until one is installed")
            case "report":
                return [Happened(what="finished", transaction=transaction)]
        return []

    def _given_up(self, transaction: str) -> Event:
        if self._record.state == "proving":
            return Refused(
                transaction=transaction, problem=Problem(code=500, message="its proof was cut off")
            )
        return Cancelled(transaction=transaction)

    def _tried(self, what: Tried, target: str) -> Result:
        if what == "fetch":
            if self._depot.fault_of(target) is not None:
                self._copy()
            return "present"
        if what == "verify":
            is_new = self._depot.candidate.is_dir()
            found = self._depot.open_candidate(target) if is_new else self._depot.open(target)
            self._proof.trusted(found)
            self._say(f"digests: {len(found.manifest.files)} files match")
            return "verified"
        self._proof.good(self._depot.open(target))
        return "proven"

    def _copy(self) -> None:
        if self._source is None:
            raise DepotError(f"{shown(str(self._depot.folder))}: the bundle is not here any more", 404)
        with open_files(self._source) as there:
            digests = read_head(there, self._source).manifest.files
            self._depot.begin()
            for name, size in there.sizes.items():
                self._depot.put(name, there.pieces(name), sha256=digests.get(name), size=size)


def _code(error: PlumblineError) -> int:
    if isinstance(error, DepotError | NotProven):
        return error.code
    return 403 if isinstance(error, NotTrusted) else 422
