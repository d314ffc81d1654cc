"""A gateway takes committed rows to one sink, in order and at least once, at that sink's own pace.

Every gateway has its own thread and its own durable cursor, so a sink that is slow or away holds
nobody else, and nothing is lost meanwhile: rows wait until the cursor has passed them. `step` is
the whole loop; what follows from an outcome is decided by the pure functions below it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, runtime_checkable

import structlog

from agent.backoff import backoff_s, wait_unless
from agent.clock import Clock
from agent.contract.row import Waiting
from agent.errors import PlumblineError

TICK_S = 1.0
STOP_S = 5.0
FIRST_PAUSE_S = 2.0
SHORT_PAUSE_S = 0.2  # of a sink that took some
PAUSE_S = 30.0

log = structlog.get_logger(__name__)


class GatewayError(PlumblineError):
    """A sink cannot take rows now; the text names the place, the value and the remedy.

    Rows of the batch up to `taken` have arrived. `retry_after_s` is the pause that the other side asked for.
    With `progressed` some of the batch has arrived, so the sink works and the pause stays short.
    """

    def __init__(
        self, message: str, *, taken: int = 0, retry_after_s: float = 0.0, progressed: bool = False
    ) -> None:
        super().__init__(message)
        self.taken = taken
        self.progressed = progressed or taken > 0
        self.retry_after_s = retry_after_s


class Unacceptable(PlumblineError):
    """The sink will never take this row. Of its batch, rows before it have arrived, rows after it not."""

    def __init__(self, waiting: Waiting, reason: str) -> None:
        super().__init__(reason)
        self.seq = waiting.seq
        self.row = waiting.row
        self.reason = reason


class Records(Protocol):
    """Committed rows from a cursor on. For one thread."""

    def next(self, limit: int) -> tuple[Waiting, ...]:
        """The first `limit` rows after the cursor, in the order of commits; none when all are passed."""

    def advance(self, seq: int) -> None:
        """Have the cursor pass everything up to `seq`, durably."""


class Sink(Protocol):
    """Where rows go. For one thread, which opens it, and closes it after a failed delivery."""

    rows_at_a_time: int  # how many rows one `deliver` is given at most

    def open(self) -> None:
        """Get ready to deliver. Raises GatewayError."""

    def deliver(self, rows: Sequence[Waiting]) -> None:
        """Return when the sink has all `rows` for good. Raises GatewayError or Unacceptable.

        Called at least once a second while open, with no rows when none wait.
        """

    def close(self) -> None:
        """Let go of everything; also after an `open` that failed. Never raises."""


@runtime_checkable
class Retrying(Protocol):
    """A sink that tries rows again by itself."""

    @property
    def tries_failed(self) -> int:
        """Since it was made; from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """How it stands with one gateway; the counters are since its start."""

    name: str
    since: datetime  # when `failing` became what it is
    failing: str | None = None  # why rows wait; None while all is well
    failures: int = 0  # in a row
    tries_failed: int = 0
    delivered: int = 0
    unacceptable: int = 0
    last_seq: int = 0  # the cursor, once it has moved


class Gateway:
    """The thread between Records and a Sink.

    `on_unacceptable` stores a row that the sink will never take, before the cursor passes it; it is
    called in the gateway's thread, again for the same row when the agent dies in between.
    """

    def __init__(
        self,
        name: str,
        records: Records,
        sink: Sink,
        *,
        clock: Clock,
        rng: random.Random,
        on_unacceptable: Callable[[Unacceptable], None],
    ) -> None:
        self._records = records
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._on_unacceptable = on_unacceptable
        self._state = GatewayState(name=name, since=clock.utc_now())
        self._open = False
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self.left_behind = False  # `stop` has not waited for the end of a delivery
        self._thread = threading.Thread(target=self._run, name=f"gateway-{name}", daemon=True)
        self._failure: Exception | None = None

    @property
    def state(self) -> GatewayState:
        """As of now; safe to read from any thread."""
        return self._state

    @property
    def tries_failed(self) -> int:
        """Deliveries since the start, and those that the sink has tried by itself; from any thread."""
        by_itself = self._sink.tries_failed if isinstance(self._sink, Retrying) else 0
        return self._state.tries_failed + by_itself

    @property
    def failure(self) -> Exception | None:
        """Why nothing is delivered any more; None while all is well."""
        return self._failure

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Rows were committed; from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """Stop after what is at hand; a delivery that takes longer than STOP_S is left to happen again."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
            self.left_behind = self._thread.is_alive()

    def step(self) -> bool:
        """Deliver one batch, or find out that none waits; whether more may wait. Sleeps after a failure."""
        rows = self._records.next(self._sink.rows_at_a_time)
        try:
            if not self._open:
                self._sink.open()
                self._open = True
            self._sink.deliver(rows)
        except Unacceptable as error:
            log.warning("row_unacceptable", gateway=self._state.name, seq=error.seq, reason=error.reason)
            self._on_unacceptable(error)
            self._pass(rows, error.seq, unacceptable=1)
            self._move(recovered(self._state, self._clock.utc_now()))
        except GatewayError as error:
            self._pass(rows, error.taken)
            self._close()
            now, fresh = self._clock.utc_now(), error.progressed
            self._move(failed(self._state, str(error), now, progressed=fresh))
            first_s = SHORT_PAUSE_S if fresh else FIRST_PAUSE_S
            pause_s = backoff_s(self._state.failures - 1, self._rng, first_s=first_s, longest_s=PAUSE_S)
            wait_unless(self._stopping, max(pause_s, error.retry_after_s), self._clock)
        else:
            self._pass(rows, rows[-1].seq if rows else 0)
            self._move(recovered(self._state, self._clock.utc_now()))
        return bool(rows)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                if not self.step():
                    self._woken.wait(TICK_S)
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("gateway_failed", gateway=self._state.name, reason=str(error), exc_info=error)
            self._failure = error
        finally:
            self._close()

    def _pass(self, rows: Sequence[Waiting], seq: int, unacceptable: int = 0) -> None:
        """Move the cursor past the rows up to `seq`, unless nobody waits for this thread any more."""
        count = sum(waiting.seq <= seq for waiting in rows)
        if count and not self.left_behind:
            self._records.advance(seq)
            self._state = passed(self._state, seq, delivered=count - unacceptable, unacceptable=unacceptable)

    def _move(self, state: GatewayState) -> None:
        if state.failing != self._state.failing:
            if state.failing is None:
                log.info("gateway_recovered", gateway=state.name)
            else:
                log.warning("gateway_failing", gateway=state.name, reason=state.failing)
        self._state = state

    def _close(self) -> None:
        self._open = False
        self._sink.close()


def passed(state: GatewayState, seq: int, *, delivered: int, unacceptable: int) -> GatewayState:
    """The cursor has passed `seq`."""
    return replace(
        state,
        last_seq=seq,
        delivered=state.delivered + delivered,
        unacceptable=state.unacceptable + unacceptable,
    )


def failed(state: GatewayState, reason: str, now: datetime, *, progressed: bool = False) -> GatewayState:
    """Another try failed; `since` stays at the first of the row, `failures` counts from the last progress."""
    since = now if state.failing is None else state.since
    in_a_row = 1 if progressed else state.failures + 1
    tries = state.tries_failed + 1
    return replace(state, failing=reason, since=since, failures=in_a_row, tries_failed=tries)


def recovered(state: GatewayState, now: datetime) -> GatewayState:
    """A try succeeded."""
    return state if state.failing is None else replace(state, failing=None, since=now, failures=0)
