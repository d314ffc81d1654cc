"""The rollout of bundles on a running station: one thread that owns depot, record and what comes of both.

Documents and verbs come in here, and each gets one answer. The table decides (`rollout.py`), `carrying.py`
makes its steps durable, `duties.py` does what they ask for. The line judges by the bundle before until the
boundary, and never waits for any of this.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, get_args

from agent.clock import new_uuid7, rfc3339
from agent.contract.reported import BundleAttempt, BundleReport
from agent.remote import bundle_report
from agent.remote.begin import Begun
from agent.remote.carrying import Carrying
from agent.remote.depot import DepotError
from agent.remote.duties import Duties, Means, moment
from agent.remote.offers import Offer, Refusal, way_back
from agent.remote.orders import Asked, Cancel, Document, Reply, RollBack, Said, SaidState, Standing, nobody
from agent.remote.rollout_file import RECORD, NotWritable
from agent.remote.transaction import (
    Answer,
    Breached,
    Cancelled,
    Event,
    Instruction,
    Offered,
    Outcome,
    Problem,
    Stopped,
    TimeSeen,
)
from agent.trust import freshness
from agent.trust.freshness import Reading

LOOK_S = 0.25
ANSWER_S = 15.0
AGAIN_S = 5.0  # until what waits is tried again
KEEP_S = 10.0  # between two notes of how far a fetch is
SAY_EVERY_S = 2.0  # between two reports of mere progress
TIME_SEEN_S = 3600.0
DEADLINE_S = 86_400.0  # with a source that answers
REMEMBERED = 16  # transactions that are over


Read: TypeAlias = Callable[[bytes, Reading, str], Offer | Refusal]


class Updater:
    """`Rollouts` of one depot; `run` and `turn` belong to its thread."""

    def __init__(self, begun: Begun, means: Means, *, read: Read, changed: Callable[[], None]) -> None:
        """`read` makes an offer of a document; `changed` is called when `report` says something new."""
        self._means = means
        self._depot = means.depot
        self._clock = means.clock
        self._read = read
        self._changed = changed
        self._orders: queue.SimpleQueue[Asked | Event] = queue.SimpleQueue()
        self._duties = Duties(means, self._orders.put)
        self._carrying = Carrying(begun, self._duties, means.clock, answer=self._answered, moved=self._moved)
        self._hindered = begun.trouble or begun.lost
        self._orders_of: dict[str, Asked] = {}  # by transaction, until they are answered
        self._over: dict[str, Standing] = {}
        self._rejected = 0
        self._moved_at = self._now()
        self._later: Document | None = None
        self._later_ns = 0
        self._kept_ns = 0
        self._said_ns = 0
        self._seen_ns: int | None = None
        self._answer: BundleAttempt | None = None  # to the last document that began nothing
        self._report = self._reported()

    def take(self, document: bytes, reply: Reply = nobody, base: Path | None = None) -> None:
        self._orders.put(Document(content=document, base=base, may_wait=True, reply=reply))

    def install(self, document: bytes, base: Path | None = None) -> Said:
        return self._asked(lambda reply: Document(content=document, base=base, may_wait=False, reply=reply))

    def roll_back(self, who: str, reason: str) -> Said:
        return self._asked(lambda reply: RollBack(who=who, reason=reason, reply=reply))

    def cancel(self, transaction: str | None = None) -> Said:
        return self._asked(lambda reply: Cancel(transaction=transaction, reply=reply))

    def standing(self, transaction: str) -> Standing | None:
        record = self._carrying.record
        if record.instruction is None or record.instruction.transaction != transaction:
            return self._over.get(transaction)
        return Standing(
            state=bundle_report.state_of(record),
            code=bundle_report.code_of(record),
            message=record.errors[-1].message if record.errors else record.state.replace("_", " "),
            share=self._duties.share(record),
            is_over=record.state == "idle",
        )

    def report(self) -> BundleReport:
        return self._report

    def words(self) -> tuple[str, ...]:
        trouble = self._carrying.trouble
        own = () if trouble is None else (f"Rollout of bundles: {trouble}",)
        return (*own, *self._duties.words(self._carrying.record))

    def ended(self) -> Mapping[str, int]:
        return {"rejected": self._rejected, **{one: self._duties.ended[one] for one in get_args(Outcome)}}

    def is_on_probation(self) -> bool:
        return self._carrying.record.state == "probation"

    def run(self, stop: threading.Event) -> None:
        """Until told to stop; what goes on beside is given up then, and gone on with at the next start."""
        if self._hindered is not None:
            self._duties.hindered(self._hindered)
        try:
            while not stop.is_set():
                self.turn(LOOK_S)
        finally:
            self._duties.leave(AGAIN_S)

    def end(self, *, in_order: bool) -> None:
        """After `run`; a process that ends in order has not died of its bundle."""
        if in_order:
            self._carrying.note(Stopped())
        self._carrying.let_go()

    def turn(self, timeout_s: float = 0.0) -> None:
        """Take an order, waiting for at most `timeout_s`, and do what is due."""
        self._carrying.go_on()
        with suppress(queue.Empty):
            self._take(self._orders.get(timeout=timeout_s) if timeout_s else self._orders.get_nowait())
        self._look(self._clock.monotonic_ns())
        self._carrying.go_on()
        if self._carrying.record.state == "idle" and not self._carrying.is_waiting:
            self._carrying.let_go()
            if self._later is not None and self._clock.monotonic_ns() >= self._later_ns:
                later, self._later = self._later, None
                self._document(later)

    def _take(self, order: Asked | Event) -> None:
        match order:
            case Document():
                self._document(order)
            case RollBack():
                self._roll_back(order)
            case Cancel():
                self._cancel(order)
            case _:
                self._carrying.happened(order)

    def _look(self, now_ns: int) -> None:
        """What time, the line and the fetch bring."""
        if self._carrying.is_waiting:
            return
        record = self._carrying.record
        found = self._duties.look(record)
        if found is None and now_ns - self._kept_ns > KEEP_S * 1e9:
            self._kept_ns = now_ns
            found = self._duties.fetched(record)
        if found is None and (self._seen_ns is None or now_ns - self._seen_ns > TIME_SEEN_S * 1e9):
            self._seen_ns = now_ns
            self._keep_time()
        if found is not None:
            self._carrying.happened(found)
        elif now_ns - self._said_ns > SAY_EVERY_S * 1e9:
            self._said_ns = now_ns
            self._say()

    def _keep_time(self) -> None:
        """A clock that says less one day is not believed."""
        reading = self._reading()
        if reading.doubt is None and (self._depot.folder / RECORD).exists():
            with suppress(DepotError, NotWritable):  # somebody installs by hand
                self._carrying.have()
                self._carrying.note(TimeSeen(at=rfc3339(reading.now)))

    def _reading(self) -> Reading:
        """The clock, once for a transaction."""
        latest = self._carrying.record.latest_trusted_time
        return freshness.read(self._clock, None if latest is None else moment(latest))

    def _document(self, order: Document) -> None:
        if not order.content:  # an empty retained message is no instruction
            order.reply(Said(state="unchanged", code=200, message="it is empty, and no instruction"))
            return
        found = self._read(order.content, self._reading(), new_uuid7(self._clock))
        if isinstance(found, Refusal):
            self._reply(order, "rejected", found.problem, bundle_report.refused(found, at=self._now()))
            return
        base = None if order.base is None else str(order.base)
        new = replace(found.instruction, base=base)
        try:
            self._carrying.have()
        except (DepotError, NotWritable) as error:
            self._nothing(
                order, new, Answer(state="rejected", problem=Problem(code=error.code, message=str(error)))
            )
            return
        self._orders_of[new.transaction] = order
        self._carrying.happened(
            Offered(
                instruction=new,
                boot_id=self._clock.boot(),
                at=self._now(),
                current=self._serving(),
                is_expired=found.is_expired,
                has_room=self._has_room(new),
                trusted_time=found.trusted_time,
                deadline_s=DEADLINE_S,
            )
        )

    def _roll_back(self, order: RollBack) -> None:
        why = f"taken back by {order.who}: {order.reason}"
        record = self._carrying.record
        if record.state in ("probation", "rolling_back") and record.instruction is not None:
            transaction = record.instruction.transaction
            self._carrying.happened(Breached(transaction=transaction, problem=Problem(code=409, message=why)))
            order.reply(Said(state="accepted", code=202, message="it goes back", transaction=transaction))
            return
        if record.state != "idle":
            busy = f"a transaction is {record.state}; cancel it, or wait for its end"
            order.reply(Said(state="rejected", code=429, message=busy))
            return
        try:
            self._carrying.have()
            new = way_back(self._depot, self._carrying.record, new_uuid7(self._clock))
        except (DepotError, NotWritable) as error:
            order.reply(Said(state="rejected", code=error.code, message=str(error)))
            return
        self._orders_of[new.transaction] = order
        self._carrying.happened(
            Offered(
                instruction=new,
                boot_id=self._clock.boot(),
                at=self._now(),
                current=self._serving(),
                deadline_s=DEADLINE_S,
            )
        )

    def _cancel(self, order: Cancel) -> None:
        record = self._carrying.record
        own = None if record.instruction is None else record.instruction.transaction
        if own is None or record.state == "idle" or order.transaction not in (None, own):
            order.reply(Said(state="rejected", code=404, message="no such transaction goes on here"))
            return
        self._orders_of[own] = order
        self._carrying.happened(Cancelled(transaction=own))

    def _answered(self, event: Event, answer: Answer) -> None:
        """What the table says to an offer or a cancel."""
        transaction = event.instruction.transaction if isinstance(event, Offered) else _of(event)
        order = self._orders_of.pop(transaction, None)
        if order is None:
            return
        if answer.state == "accepted":
            order.reply(Said(state="accepted", code=202, message="it has begun", transaction=transaction))
        elif isinstance(event, Offered):
            self._nothing(order, event.instruction, answer)
        else:
            self._reply(order, answer.state, answer.problem, self._answer)

    def _nothing(self, order: Asked, new: Instruction, answer: Answer) -> None:
        """It has begun nothing, or waits for its turn."""
        at, problem = self._now(), answer.problem
        if problem is not None and problem.code == 429 and isinstance(order, Document) and order.may_wait:
            self._later, self._later_ns = (
                replace(order, reply=nobody),
                self._clock.monotonic_ns() + round(AGAIN_S * 1e9),
            )
            self._reply(order, "pending", problem, bundle_report.waiting(new, problem.message, at=at))
            return
        own = self._carrying.record.instruction
        is_known = own is not None and own.envelope_sha256 == new.envelope_sha256
        # A document that comes again does not hide what has become of it.
        said = None if is_known else bundle_report.answered(new, answer, at=at)
        self._reply(order, answer.state, problem, said)

    def _reply(
        self, order: Asked, state: SaidState, problem: Problem | None, said: BundleAttempt | None
    ) -> None:
        code, message = (200, "it is so already") if problem is None else (problem.code, problem.message)
        self._answer = said
        if state == "rejected" and isinstance(order, Document):
            self._rejected += 1
        order.reply(Said(state=state, code=202 if state == "pending" else code, message=message))
        self._say()

    def _moved(self) -> None:
        """The record is in another state."""
        record = self._carrying.record
        self._answer, self._moved_at = None, self._now()
        if record.instruction is not None:
            transaction = record.instruction.transaction
            if (
                record.outcome == "cancelled"
                and (order := self._orders_of.pop(transaction, None)) is not None
            ):
                order.reply(Said(state="accepted", code=200, message="cancelled", transaction=transaction))
            if record.state == "idle" and (standing := self.standing(transaction)) is not None:
                self._over[transaction] = standing
                for old in list(self._over)[:-REMEMBERED]:
                    del self._over[old]
        self._say()

    def _say(self) -> None:
        report = self._reported()
        if report != self._report:
            self._report = report
            self._changed()

    def _reported(self) -> BundleReport:
        record = self._carrying.record
        attempted = self._answer or bundle_report.attempt_of(
            record, at=self._moved_at, progress=self._duties.share(record)
        )
        return bundle_report.bundle_report(
            self._depot, record, serves=self._means.stage.in_force(), attempted=attempted
        )

    def _serving(self) -> str | None:
        """The bundle that both the links and the lines have in force."""
        current = self._depot.named("current")
        return current if current == self._means.stage.in_force() else None

    def _has_room(self, new: Instruction) -> bool:
        if self._depot.fault_of(new.target_sha256) is None:
            return True
        return self._depot.has_room(new.size_bytes, kept_free=self._means.kept_free)

    def _now(self) -> str:
        return rfc3339(self._clock.utc_now())

    def _asked(self, order: Callable[[Reply], Asked]) -> Said:
        answers: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._orders.put(order(answers.put))
        try:
            return answers.get(timeout=ANSWER_S)
        except queue.Empty:
            late = "no answer yet; what is reported says what came of it"
            return Said(state="rejected", code=429, message=late)


def _of(event: Event) -> str:
    return event.transaction if isinstance(event, Cancelled) else ""
