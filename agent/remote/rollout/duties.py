"""What the states of a rollout ask for, done on a running station; what takes long, in a thread beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog
from pydantic import JsonValue

from agent.clock import moment_of
from agent.contract.desired import Target
from agent.contract.events import Severity
from agent.errors import PlumblineError
from agent.foreign import shown, stored
from agent.remote.rollout import telling
from agent.remote.rollout.baseline import baseline_of
from agent.remote.rollout.depot import DepotError
from agent.remote.rollout.means import Means
from agent.remote.rollout.offers import is_made_here
from agent.remote.rollout.probation import otherwise
from agent.remote.rollout.transaction import (
    Boundary,
    Breached,
    Duty,
    Event,
    FileBytes,
    Happened,
    Instruction,
    Outcome,
    Problem,
    Progressed,
    Record,
    Refused,
)
from agent.remote.rollout.watching import GoingBack, OnProbation, Watching
from agent.remote.rollout.work import Work
from agent.remote.transport.fetch import Order, Progress
from agent.trust import freshness

log = structlog.get_logger()


class Duties:
    """Belongs to one thread; what work beside it finds is given to `post`, from another."""

    def __init__(self, means: Means, post: Callable[[Event], None]) -> None:
        self._means = means
        self._post = post
        self._work = Work()
        self._fetched: Progress | None = None
        self._ready: str | None = None  # the transaction whose bundle is open beside the one that serves
        self._waits: str | None = None  # for what, before its switch
        self._watching: Watching | None = None
        self._time_left_s = 0.0
        self._noted: frozenset[str] | None = None  # as used, in the depot
        self.ended: Counter[Outcome] = Counter()

    def do(self, what: Duty, record: Record) -> list[Event]:
        """What came of it at once. Raises DepotError where the disk does not take it."""
        new, depot = record.instruction, self._means.depot
        if what == "fail_safe":
            self._fail_safe()
        if new is None:
            with suppress(OSError):  # it only takes room
                depot.drop_candidate()
            return []
        match what:
            case "fetch":
                self._fetched = None
                self._begin(what, new, partial(self._fetch, new, record.deadline_s))
            case "verify":
                self._begin(what, new, partial(self._verify, new))
            case "place":
                depot.place(new.target_sha256)
            case "prove":
                self._begin(what, new, partial(self._prove, new))
            case "await_boundary":
                self._waits = None
                if self._ready != new.transaction:  # an earlier process proved it
                    self._begin("open", new, partial(self._open, new))
            case "observe" if record.state == "probation":
                return self._serve(new, record)
            case "observe":
                return self._restore(new, record)
            case "discard" | "clean_up":
                self._watching = None
                self._clear(what, record, new)
            case "report":
                self._means.turn.end_bundle()
                self._report(record, new)
                return [Happened(what="finished", transaction=new.transaction)]
        return []

    def look(self, record: Record) -> Event | None:
        """What has come of waiting, if anything."""
        samples = self._means.witness.fresh()
        self._note_serving()
        if record.instruction is None:
            return None
        if record.state in ("probation", "rolling_back") and self._watching is not None:
            return self._watching.look(samples)
        if record.state == "staged" and self._ready == record.instruction.transaction:
            return self._boundary(record, record.instruction)
        return None

    def fetched(self, record: Record) -> Progressed | None:
        """How far the fetch is, where it has moved since the record was written."""
        if record.state != "downloading" or self._fetched is None or record.instruction is None:
            return None
        found = self._fetched
        bytes_done = tuple(FileBytes(name=name, size=size) for name, size in sorted(found.bytes_done.items()))
        if bytes_done == record.bytes_done:
            return None
        left_s = max(0.0, self._time_left_s - found.linked_s)
        return Progressed(
            transaction=record.instruction.transaction, bytes_done=bytes_done, deadline_s=left_s
        )

    def share(self, record: Record) -> float | None:
        """How much of the state is over, 0 to 1; None where nobody can tell."""
        if record.state in ("probation", "rolling_back") and self._watching is not None:
            return self._watching.share()
        if record.state == "downloading" and record.instruction is not None and record.instruction.size_bytes:
            done = 0 if self._fetched is None else sum(self._fetched.bytes_done.values())
            return min(1.0, done / record.instruction.size_bytes)
        return None

    def trouble(self, record: Record) -> str | None:
        """Why what is under way does not get on; None where it does."""
        if record.state == "staged":
            return self._waits
        if record.state != "downloading" or self._fetched is None:
            return None
        return self._fetched.trouble

    def words(self, record: Record) -> tuple[str, ...]:
        """What people should know, one sentence each."""
        if self._means.stage.in_force() is None:
            return ("No model bundle serves: nothing is judged until one is installed",)
        if record.state == "probation" and self._watching is not None and self._watching.stands():
            return (f"A bundle is on probation and the line stands: {self._watching.words()}",)
        return ()

    def hindered(self, why: str) -> None:
        """Tell of a record that cannot be read or written."""
        log.error("rollout_hindered", reason=shown(why))
        self._tell("rollout_hindered", "warning", stored(why))

    def leave(self, timeout_s: float) -> bool:
        """Have what goes on beside end; whether it has."""
        return self._work.give_up(timeout_s)

    def _begin(self, name: str, new: Instruction, call: Callable[[Callable[[], bool]], Event | None]) -> None:
        def run(given_up: Callable[[], bool]) -> None:
            event: Event | None
            try:
                event = call(given_up)
            except Exception as error:  # runtimes raise what they like, and the station goes on
                if not isinstance(error, PlumblineError):
                    log.error("rollout_failed", duty=name, exc_info=error)
                event = Refused(
                    transaction=new.transaction,
                    problem=problem_of(error),
                    proof=getattr(error, "proof", None),
                )
            if event is not None and not given_up():
                self._post(event)

        self._work.start(name, run)

    def _fetch(self, new: Instruction, time_left_s: float | None, given_up: Callable[[], bool]) -> Event:
        self._time_left_s = 0.0 if time_left_s is None else time_left_s
        if self._means.depot.fault_of(new.target_sha256) is not None:

            def progress(found: Progress) -> None:
                self._fetched = found

            self._means.fetch(
                Order(
                    target=Target(id=new.target_id, sha256=new.target_sha256, size_bytes=new.size_bytes),
                    sources=new.sources,
                    base=None if new.base is None else Path(new.base),
                ),
                progress=progress,
                cancelled=given_up,
                time_left_s=self._time_left_s,
            )
            self._means.depot.sync_candidate()  # else what a power cut takes is held against the bundle
        return Happened(what="present", transaction=new.transaction)

    def _verify(self, new: Instruction, given_up: Callable[[], bool]) -> Event:
        depot, target = self._means.depot, new.target_sha256
        found = depot.open_candidate(target) if depot.candidate.is_dir() else depot.open(target)
        self._means.trusted(found)
        return Happened(what="verified", transaction=new.transaction)

    def _prove(self, new: Instruction, given_up: Callable[[], bool]) -> Event:
        path, serves = self._means.depot.path_of(new.target_sha256), self._means.stage.in_force()
        # What was taught this station's own parts is not held against a bundle that may know others.
        beside = None if is_made_here(new) else serves
        incumbent = None if beside is None else self._means.depot.path_of(beside)
        proof = self._means.prove(path, incumbent, cancelled=given_up)
        self._means.stage.open(path)  # its engine is built here, not at the boundary
        self._ready = new.transaction
        return Happened(what="proven", transaction=new.transaction, proof=proof)

    def _open(self, new: Instruction, given_up: Callable[[], bool]) -> None:
        self._means.stage.open(self._means.depot.path_of(new.target_sha256))
        self._ready = new.transaction

    def _boundary(self, record: Record, new: Instruction) -> Event | None:
        depot = self._means.depot
        if new.window is not None:
            latest = None if record.latest_trusted_time is None else moment_of(record.latest_trusted_time)
            reading = freshness.read(self._means.clock, latest)
            if reading.doubt is not None or reading.now < new.window.from_:
                self._waits = None
                self._means.turn.end_bundle()  # settings need not wait for a window
                return None
            if reading.now > new.window.until:
                late = Problem(code=408, message="the window in which the line might change is over")
                return Refused(transaction=new.transaction, problem=late)
        self._waits = self._means.turn.begin_bundle()
        if self._waits is not None:
            return None
        self._ready = None
        return Boundary(
            transaction=new.transaction,
            current=depot.named("current"),
            previous=depot.named("previous"),
            baseline=baseline_of(self._means.witness.recent(self._means.stage.in_force())),
        )

    def _serve(self, new: Instruction, record: Record) -> list[Event]:
        try:
            if self._means.stage.in_force() != new.target_sha256:
                self._means.stage.take_over(new.target_sha256)
        except PlumblineError as error:
            return [Breached(transaction=new.transaction, problem=problem_of(error))]
        self._watching = OnProbation(
            transaction=new.transaction,
            target=new.target_sha256,
            baseline=record.baseline,
            limits=otherwise(self._means.limits) if is_made_here(new) else self._means.limits,
            clock=self._means.clock,
            began_ns=self._means.clock.monotonic_ns(),
        )
        return []

    def _restore(self, new: Instruction, record: Record) -> list[Event]:
        """The line goes back at once where the bundle before is still open."""
        lost = Happened(what="lost", transaction=new.transaction)
        previous = record.previous
        if previous is None:
            self._means.stage.withdraw()
            return [lost]

        def back(given_up: Callable[[], bool]) -> Event | None:
            try:
                self.go_back_to(previous)
            except PlumblineError as error:
                log.error("bundle_before_lost", sha256=previous[:12], reason=shown(str(error)))
                return lost
            clock = self._means.clock
            self._watching = GoingBack(
                transaction=new.transaction, previous=previous, clock=clock, began_ns=clock.monotonic_ns()
            )
            return None

        self._watching = None
        self._begin("restore", new, back)
        return []

    def go_back_to(self, previous: str) -> None:
        """Have the lines judge by the bundle before. Raises PlumblineError."""
        stage = self._means.stage
        if stage.in_force() == previous:
            return
        stage.open(self._means.depot.path_of(previous))
        stage.take_over(previous)

    def _clear(self, what: Duty, record: Record, new: Instruction) -> None:
        self._means.stage.settle()
        self._note_serving()
        try:
            if what == "clean_up":
                self._means.depot.clean_up()
                return
            self._means.depot.drop_candidate()
            if record.state == "failed":
                self._means.depot.drop(new.target_sha256)
        except OSError as error:  # it takes room and decides nothing
            log.warning("bundles_not_cleaned_up", reason=str(error))

    def _note_serving(self) -> None:
        used = self._means.stage.used()
        if used != self._noted and self._means.depot.folder.is_dir():
            with suppress(DepotError):  # then nobody can clean up there either
                self._means.depot.note_serving(used)
                self._noted = used

    def _fail_safe(self) -> None:
        self._means.stage.withdraw()
        self._tell("no_bundle", "alarm", "no model bundle here is whole: nothing is judged until one is")

    def _report(self, record: Record, new: Instruction) -> None:
        outcome = record.outcome or "failed"
        self.ended[outcome] += 1
        told = telling.ending(new, record)
        log.info("rollout_ended", outcome=outcome, detail=told.detail)
        self._means.recorded.ended(new, record)
        if told.event is not None:
            self._tell(told.event, told.severity, told.detail, **telling.data_of(new, record))

    def _tell(self, event: str, severity: Severity, detail: str, **data: JsonValue) -> None:
        try:
            self._means.tell(event, severity, detail, **data)
        except PlumblineError as error:  # reporting moves no state, and the reported document says it, too
            log.warning("rollout_not_told", told=event, reason=shown(str(error)))


def problem_of(error: Exception) -> Problem:
    """With the code that an error has; what a bundle itself is at fault for is 422."""
    if not isinstance(error, PlumblineError):
        return Problem(code=500, message=stored(f"{type(error).__name__}: {error}"))
    code = getattr(error, "code", 422)
    return Problem(code=code if isinstance(code, int) else 422, message=stored(str(error)))
