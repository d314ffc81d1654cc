"""What a station says of its rollouts: to whoever asked, and in the reported document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.clock import Clock, rfc3339
from agent.contract.reported import BundleAttempt, BundleReport
from agent.remote.rollout import bundle_report
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.means import Stage
from agent.remote.rollout.orders import Asked, Document, Said, SaidState, Standing, nobody
from agent.remote.rollout.transaction import Answer, Cancelled, Event, Instruction, Offered, Problem, Record

AGAIN_S = 5.0  # until what waits is tried again
REMEMBERED = 16  # transactions that are over


class Answers:
    """Belongs to the updater's thread; `report` and `standing` are for any."""

    def __init__(
        self,
        depot: Depot,
        stage: Stage,
        clock: Clock,
        *,
        record: Callable[[], Record],
        share: Callable[[Record], float | None],
        trouble: Callable[[Record], str | None],
        changed: Callable[[], None],
    ) -> None:
        """`share` says how much of a record's state is over, `trouble` what keeps it from getting on;
        `changed` is called after every answer.
        """
        self._depot = depot
        self._stage = stage
        self._clock = clock
        self._record = record
        self._share = share
        self._trouble = trouble
        self._changed = changed
        self.waiting_for: dict[str, Asked] = {}  # their answers, by transaction
        self.later: Document | None = None
        self.later_ns = 0
        self._waits: Instruction | None = None  # of `later`
        self.rejected = 0
        self.report = BundleReport(active=None)
        self._over: dict[str, Standing] = {}
        self._moved_at = self._now()
        self._answer: BundleAttempt | None = None  # to the last document that began nothing

    def standing(self, transaction: str) -> Standing | None:
        """None for a transaction that is not known any more."""
        record = self._record()
        if record.instruction is None or record.instruction.transaction != transaction:
            return self._over.get(transaction)
        return Standing(
            state=bundle_report.state_of(record),
            code=bundle_report.code_of(record),
            message=record.errors[-1].message if record.errors else self._words(record),
            share=self._share(record),
            is_over=record.state == "idle",
        )

    def answered(self, event: Event, answer: Answer) -> None:
        """What the table says to an offer or a cancel."""
        transaction = event.instruction.transaction if isinstance(event, Offered) else _of(event)
        order = self.waiting_for.pop(transaction, None)
        if order is None:
            return
        if answer.state == "accepted":
            order.reply(Said(state="accepted", code=202, message="it has begun", transaction=transaction))
        elif isinstance(event, Offered):
            self.nothing(order, event.instruction, answer)
        else:
            self.reply(order, answer.state, answer.problem, self._answer)

    def nothing(self, order: Asked, new: Instruction, answer: Answer) -> None:
        """It has begun nothing, or waits for its turn."""
        at, problem = self._now(), answer.problem
        if problem is not None and problem.code == 429 and isinstance(order, Document) and order.may_wait:
            self._have_wait(order, new, problem.message)
            return
        own = self._record().instruction
        is_known = own is not None and own.envelope_sha256 == new.envelope_sha256
        # A document that comes again does not hide what has become of it.
        said = None if is_known else bundle_report.answered(new, answer, at=at)
        self.reply(order, answer.state, problem, said)

    def _have_wait(self, order: Document, new: Instruction, why: str) -> None:
        """One waits, the newest; whichever it is passed over for has its answer, too."""
        before, at = None if self.later is None else self._waits, self._now()
        if before is not None and before.envelope_sha256 != new.envelope_sha256:
            same = (before.issuer, before.epoch) == (new.issuer, new.epoch)
            if same and new.counter <= before.counter:
                words = f"counter {new.counter} is not above {before.counter}, which waits here"
                answer = Answer(state="rejected", problem=Problem(code=409, message=words))
                self.reply(order, "rejected", answer.problem, bundle_report.answered(new, answer, at=at))
                return
            self._answer = bundle_report.superseded(before, f"superseded by counter {new.counter}", at=at)
            self.say(anew=True)
        self.later, self._waits = replace(order, reply=nobody), new
        self.later_ns = self._clock.monotonic_ns() + round(AGAIN_S * 1e9)
        record = self._record()
        under_way = f"it waits here for the end of the transaction before, which is {_stage(record)}"
        words = why if record.state == "idle" else under_way
        problem = Problem(code=429, message=words)
        self.reply(order, "pending", problem, bundle_report.waiting(new, words, at=at))

    def reply(
        self, order: Asked, state: SaidState, problem: Problem | None, said: BundleAttempt | None
    ) -> None:
        code, message = (200, "it is so already") if problem is None else (problem.code, problem.message)
        self._answer = said
        if state == "rejected" and isinstance(order, Document):
            self.rejected += 1
        order.reply(Said(state=state, code=202 if state == "pending" else code, message=message))
        self.say(anew=True)

    def moved(self) -> None:
        """The record is in another state."""
        record = self._record()
        self._answer, self._moved_at = None, self._now()
        if record.instruction is not None:
            transaction = record.instruction.transaction
            if (
                record.outcome == "cancelled"
                and (order := self.waiting_for.pop(transaction, None)) is not None
            ):
                order.reply(Said(state="accepted", code=200, message="cancelled", transaction=transaction))
            if record.state == "idle" and (standing := self.standing(transaction)) is not None:
                self._over[transaction] = standing
                for old in list(self._over)[:-REMEMBERED]:
                    del self._over[old]
        self.say()

    def say(self, *, anew: bool = False) -> None:
        """Have it reported; `anew` also where nothing has changed: each document has its answer."""
        report = self._reported()
        if anew or report != self.report:
            self.report = report
            self._changed()

    def look(self) -> None:
        """Know what there is to report, and tell nobody yet."""
        self.report = self._reported()

    def _reported(self) -> BundleReport:
        record = self._record()
        attempted = self._answer or bundle_report.attempt_of(
            record, at=self._moved_at, progress=self._share(record), trouble=self._trouble(record)
        )
        return bundle_report.bundle_report(
            self._depot, record, serves=self._stage.in_force(), attempted=attempted
        )

    def _words(self, record: Record) -> str:
        state, trouble = _stage(record), self._trouble(record)
        return state if trouble is None else f"{state}; {trouble}"

    def _now(self) -> str:
        return rfc3339(self._clock.utc_now())


def _stage(record: Record) -> str:
    return record.state.replace("_", " ")


def _of(event: Event) -> str:
    return event.transaction if isinstance(event, Cancelled) else ""
