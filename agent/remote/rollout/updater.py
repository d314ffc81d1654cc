"""The rollout of bundles on a running station: one thread that owns depot, record and what comes of both.

Documents and verbs come in here, and each gets one answer. The table decides (`rollout.py`), `carrying.py`
makes its steps durable, `duties.py` does what they ask for. The line judges by the bundle before until the
boundary, and never waits for any of this.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, get_args

import structlog

from agent.bundle.files import BundleError
from agent.clock import moment_of, new_uuid7, rfc3339
from agent.contract.reported import BundleReport
from agent.remote.rollout import bundle_report
from agent.remote.rollout.answers import AGAIN_S, Answers
from agent.remote.rollout.begin import Begun
from agent.remote.rollout.carrying import Carrying
from agent.remote.rollout.depot import DepotError
from agent.remote.rollout.duties import Duties
from agent.remote.rollout.means import Means
from agent.remote.rollout.offers import Offer, Refusal, of_folder, unread, way_back
from agent.remote.rollout.orders import (
    Adopt,
    Asked,
    Cancel,
    Document,
    Reply,
    RollBack,
    Said,
    Standing,
    nobody,
)
from agent.remote.rollout.rollout_file import RECORD, NotWritable
from agent.remote.rollout.transaction import (
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
from agent.remote.transport.fetch import deadline_s
from agent.trust import freshness
from agent.trust.freshness import Reading

LOOK_S = 0.25
ANSWER_S = 15.0
KEEP_S = 10.0  # between two notes of how far a fetch is
SAY_EVERY_S = 2.0  # between two reports of mere progress
IDLE_S = 60.0  # between two looks at what was done by hand
TIME_SEEN_S = 3600.0
WAITING = 16  # documents; of more the oldest gives way
PASSED_OVER = "too many newer ones came"


log = structlog.get_logger()

Read: TypeAlias = Callable[[bytes, Reading, str], Offer | Refusal]


class Updater:
    """`Rollouts` of one depot; `run` and `turn` belong to its thread."""

    def __init__(self, begun: Begun, means: Means, *, read: Read, changed: Callable[[], None]) -> None:
        """`read` makes an offer of a document; `changed` is called when `report` says something new."""
        self._means = means
        self._depot = means.depot
        self._clock = means.clock
        self._read = read
        self._orders: queue.SimpleQueue[Asked | Event | None] = queue.SimpleQueue()
        self._documents: deque[Document] = deque()  # for each a None among the orders
        self._passed_over: deque[Document] = deque(maxlen=WAITING)
        self._duties = Duties(means, self._orders.put)
        self._answers = Answers(
            means.depot,
            means.stage,
            means.clock,
            record=lambda: self._carrying.record,
            share=self._duties.share,
            trouble=self._duties.trouble,
            changed=changed,
        )
        self._carrying = Carrying(
            begun, self._duties, means.clock, answer=self._answers.answered, moved=self._answers.moved
        )
        if begun.record.state in ("probation", "rolling_back"):
            means.turn.go_on_with_bundle()
        self._hindered = begun.trouble or begun.lost
        self.expiry_checked = True
        self._kept_ns = 0
        self._said_ns = 0
        self._seen_ns: int | None = None
        self._answers.look()

    @property
    def why_closed(self) -> str | None:
        return None

    def take(self, document: bytes, reply: Reply = nobody, base: Path | None = None) -> None:
        waiting = self._documents
        waiting.append(Document(content=document, base=base, may_wait=True, reply=reply))
        if len(waiting) > WAITING:
            with suppress(IndexError):
                oldest = waiting.popleft()
                oldest.reply(Said(state="rejected", code=429, message=PASSED_OVER))
                self._passed_over.append(replace(oldest, reply=nobody))
        self._orders.put(None)

    def install(self, document: bytes, base: Path | None = None) -> Said:
        return self._asked(lambda reply: Document(content=document, base=base, may_wait=False, reply=reply))

    def roll_back(self, who: str, reason: str) -> Said:
        return self._asked(lambda reply: RollBack(who=who, reason=reason, reply=reply))

    def adopt(self, source: Path, sha256: str) -> Said:
        return self._asked(lambda reply: Adopt(source=source, sha256=sha256, reply=reply))

    def cancel(self, transaction: str | None = None) -> Said:
        return self._asked(lambda reply: Cancel(transaction=transaction, reply=reply))

    def standing(self, transaction: str) -> Standing | None:
        return self._answers.standing(transaction)

    def report(self) -> BundleReport:
        return self._answers.report

    def words(self) -> tuple[str, ...]:
        trouble = self._carrying.trouble
        own = () if trouble is None else (f"Rollout of bundles: {trouble}",)
        return (*own, *self._duties.words(self._carrying.record))

    def ended(self) -> Mapping[str, int]:
        return {
            "rejected": self._answers.rejected,
            **{one: self._duties.ended[one] for one in get_args(Outcome)},
        }

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
            if self._answers.later is not None and self._clock.monotonic_ns() >= self._answers.later_ns:
                later, self._answers.later = self._answers.later, None
                self._document(later)

    def _take(self, order: Asked | Event | None) -> None:
        match order:
            case None:
                while self._passed_over:
                    self._refuse(self._passed_over.popleft(), 429, PASSED_OVER)
                if self._documents:
                    self._taken(self._documents.popleft())
            case Document():
                self._taken(order)
            case RollBack():
                self._roll_back(order)
            case Adopt():
                self._adopt(order)
            case Cancel():
                self._cancel(order)
            case _:
                self._carrying.happened(order)

    def _taken(self, order: Document) -> None:
        """Whatever a document makes fail: the broker keeps it, and would end the next process with it."""
        try:
            self._document(order)
        except Exception as error:
            log.error("document_failed", exc_info=error)
            self._refuse(order, 500, f"{type(error).__name__}: {error}")

    def _refuse(self, order: Document, code: int, why: str) -> None:
        refusal = unread(order.content, code, why)
        said = bundle_report.refused(refusal, at=self._now())
        self._answers.reply(order, "rejected", refusal.problem, said)

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
        elif now_ns - self._said_ns > (IDLE_S if record.state == "idle" else SAY_EVERY_S) * 1e9:
            self._said_ns = now_ns
            self._answers.say()

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
        return freshness.read(self._clock, None if latest is None else moment_of(latest))

    def _document(self, order: Document) -> None:
        if not order.content:  # an empty retained message is no instruction
            order.reply(Said(state="unchanged", code=200, message="it is empty, and no instruction"))
            return
        found = self._read(order.content, self._reading(), new_uuid7(self._clock))
        if isinstance(found, Refusal):
            self._answers.reply(
                order, "rejected", found.problem, bundle_report.refused(found, at=self._now())
            )
            return
        base = None if order.base is None else str(order.base)
        new = replace(found.instruction, base=base)
        self.expiry_checked = found.expiry_checked
        try:
            self._carrying.have()
        except (DepotError, NotWritable) as error:
            self._answers.nothing(
                order, new, Answer(state="rejected", problem=Problem(code=error.code, message=str(error)))
            )
            return
        self._answers.waiting_for[new.transaction] = order
        self._carrying.happened(
            Offered(
                instruction=new,
                boot_id=self._clock.boot(),
                at=self._now(),
                current=self._serving(),
                is_expired=found.is_expired,
                has_room=self._has_room(new),
                trusted_time=found.trusted_time,
                deadline_s=deadline_s(new.size_bytes),
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
        self._begin_here(order, lambda: way_back(self._depot, self._carrying.record, new_uuid7(self._clock)))

    def _adopt(self, order: Adopt) -> None:
        record, transaction = self._carrying.record, new_uuid7(self._clock)
        self._begin_here(order, lambda: of_folder(order.source, order.sha256, record, transaction))

    def _begin_here(self, order: RollBack | Adopt, instruction: Callable[[], Instruction]) -> None:
        """What somebody at the station wants."""
        record = self._carrying.record
        if record.state != "idle":
            busy = f"a transaction is {record.state}; cancel it, or wait for its end"
            order.reply(Said(state="rejected", code=429, message=busy))
            return
        try:
            self._carrying.have()
            new = instruction()
        except (DepotError, NotWritable, BundleError) as error:
            code = 422 if isinstance(error, BundleError) else error.code
            order.reply(Said(state="rejected", code=code, message=str(error)))
            return
        self._answers.waiting_for[new.transaction] = order
        self._carrying.happened(
            Offered(
                instruction=new,
                boot_id=self._clock.boot(),
                at=self._now(),
                current=self._serving(),
                has_room=self._has_room(new),
                deadline_s=deadline_s(new.size_bytes),
            )
        )

    def _cancel(self, order: Cancel) -> None:
        record = self._carrying.record
        own = None if record.instruction is None else record.instruction.transaction
        if own is None or record.state == "idle" or order.transaction not in (None, own):
            order.reply(Said(state="rejected", code=404, message="no such transaction goes on here"))
            return
        self._answers.waiting_for[own] = order
        self._carrying.happened(Cancelled(transaction=own))

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
