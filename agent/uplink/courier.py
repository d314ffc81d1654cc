"""The courier takes rows from the outbox to the broker and notes what was acknowledged: one thread.

The rules are in `delivery.py`; here they are performed against an Outbox and a Link.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from agent.clock import Clock
from agent.contract.row import Waiting
from agent.outbox.outbox import Outbox
from agent.settings.settings import Delivery
from agent.uplink.delivery import decide
from agent.uplink.share import take
from agent.uplink.shipment import (
    Acknowledged,
    Await,
    CourierState,
    Event,
    Forget,
    LinkEvent,
    Load,
    Publish,
    Refusal,
    Report,
    Resend,
    RowsWaiting,
    Rules,
    Tick,
    Woken,
)

TICK_S = 1.0

log = structlog.get_logger(__name__)


class Link(Protocol):
    """A connection to a broker, as the courier sees it. `publish` and `wait` are for one thread."""

    def publish(self, waiting: Waiting) -> None:
        """Hand over one row without waiting; an Acknowledged, Refused or Disconnected follows."""

    def wait(self, timeout_s: float) -> Sequence[LinkEvent]:
        """What happened, in order, after waiting for it at most `timeout_s`."""

    def wake(self) -> None:
        """Make `wait` return with a Woken, from any thread."""


_PLAIN = Delivery()


def _not_told(refusal: Refusal) -> None:
    """For who has nobody to tell."""


class Courier:
    """The thread between an open Outbox and a Link."""

    def __init__(
        self,
        outbox: Outbox,
        link: Link,
        *,
        clock: Clock,
        window: int = 20,
        retry_pause_s: float = 30.0,
        rules: Delivery = _PLAIN,
        report: Callable[[Refusal], None] = _not_told,
    ) -> None:
        """`report` hears of each refusal, in the courier's thread, and keeps it for whoever asks later."""
        self._outbox = outbox
        self._link = link
        self._clock = clock
        now_ns = clock.monotonic_ns()
        self._rules = Rules(
            window=window,
            retry_pause_ns=round(retry_pause_s * 1e9),
            confirmed_by_mes=rules.confirmed_by == "mes",
            require_subscriber=rules.require_subscriber,
            round_ns=round(rules.confirm_timeout_s * 1e9),
            replays_per_s=rules.replays_per_s,
        )
        self._state = CourierState(
            looked_at_ns=now_ns, allowed_at_ns=now_ns, round=now_ns // self._rules.round_ns
        )
        self._report = report
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._failure: Exception | None = None
        self.turns = 0  # it moves at least every TICK_S

    @property
    def state(self) -> CourierState:
        """As of now; safe to read from any thread."""
        return self._state

    @property
    def failure(self) -> Exception | None:
        """Why nothing is delivered any more; None while all is well."""
        return self._failure

    def start(self) -> None:
        self._outbox.when_committed(self._link.wake)
        self._thread.start()

    def stop(self) -> None:
        """Stop after what is at hand; what was not delivered waits in the outbox."""
        self._stopping.set()
        self._link.wake()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turns += 1
                events = deque[Event](_merged(self._link.wait(TICK_S)))
                events.append(Tick())
                while events:
                    self._take(events.popleft(), events)
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("courier_failed", reason=str(error), exc_info=error)
            self._failure = error

    def _take(self, event: Event, events: deque[Event]) -> None:
        self._state, actions = decide(self._rules, self._state, event, self._clock.monotonic_ns())
        for action in actions:
            match action:
                case Publish(waiting=waiting):
                    self._link.publish(waiting)
                case Forget(seqs=seqs):
                    self._outbox.delivered(seqs)
                case Await(seqs=seqs, round=round_):
                    self._outbox.await_confirmation(seqs, round_)
                case Resend(before_round=before_round):
                    self._outbox.resend(before_round)
                case Report(refusal=refusal):
                    self._note_refusal(refusal)
                case Load(limit=limit, replays=replays):
                    rows = take(action, self._outbox.lease)
                    cut = sum(waiting.replayed for waiting in rows) == replays > 0
                    complete = len(rows) < limit and not cut
                    events.appendleft(RowsWaiting(rows=rows, complete=complete))

    def _note_refusal(self, refusal: Refusal) -> None:
        log.warning("row_refused", seq=refusal.seq, kind=refusal.kind, reason=refusal.reason)
        self._report(refusal)


def _merged(events: Iterable[LinkEvent]) -> list[LinkEvent]:
    """Neighbouring acknowledgements as one, so that they cost one transaction; wakes likewise."""
    merged: list[LinkEvent] = []
    for event in events:
        last = merged[-1] if merged else None
        if isinstance(event, Acknowledged) and isinstance(last, Acknowledged):
            merged[-1] = Acknowledged(seqs=(*last.seqs, *event.seqs))
        elif event != last or not isinstance(event, Woken):
            merged.append(event)
    return merged
