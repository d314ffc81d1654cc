"""The courier takes rows from the outbox to the broker and forgets what was acknowledged.

`decide` holds the rules and touches nothing; `Courier` is the one thread that performs them
against an Outbox and a Link. A refused row stays in the outbox and is tried again after a pause;
rows behind it pass. When one kind has REFUSED_ROWS refusals pending, that kind alone waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import structlog

from agent.clock import Clock
from agent.uplink.outbox import Outbox, Row, Waiting
from agent.uplink.outbox_file import KINDS, Kind

REFUSED_ROWS = 64
TICK_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A broker accepted us, and this is what it takes at a time."""

    receive_maximum: int = 65_535
    maximum_packet_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """What was not acknowledged until now never will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The broker has these rows and said so with a success code."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The broker, or the protocol, did not take this row."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """The broker took this row and said that nobody is subscribed to its topic (MQTT 5, 0x10)."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """Rows were committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsWaiting:
    """The answer to Load. `complete`: nothing else waits."""

    rows: tuple[Waiting, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed."""


LinkEvent: TypeAlias = Connected | Disconnected | Acknowledged | Refused | Unheard | Woken
Event: TypeAlias = LinkEvent | RowsWaiting | Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    waiting: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    limit: int
    kinds: tuple[Kind, ...]
    exclude: tuple[int, ...]


Action: TypeAlias = Publish | Forget | Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A row on its way, published on this connection and not acknowledged."""

    seq: int
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A row that was not taken, and when to try it again."""

    seq: int
    kind: Kind
    reason: str
    retry_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierState:
    """All that the courier knows; the counters are since its start."""

    window_limit: int
    retry_pause_ns: int
    connected: bool = False
    window: int = 0
    maximum_packet_bytes: int | None = None
    in_flight: tuple[Flight, ...] = ()
    refused: tuple[Refusal, ...] = ()
    drained: bool = False  # the outbox has nothing but what is in flight or refused
    publications: int = 0
    deliveries: int = 0
    refusals: int = 0


def decide(state: CourierState, event: Event, now_ns: int) -> tuple[CourierState, tuple[Action, ...]]:
    """What follows from `event`, and what is to be done, in this order."""
    match event:
        case Connected():
            window = min(state.window_limit, event.receive_maximum)
            limit = event.maximum_packet_bytes
            connected = replace(state, connected=True, window=window, maximum_packet_bytes=limit)
            return _load(replace(connected, in_flight=(), drained=False))
        case Disconnected():
            return replace(state, connected=False, window=0, in_flight=()), ()
        case Acknowledged():
            return _acknowledged(state, event.seqs)
        case Refused():
            flown = next((flight for flight in state.in_flight if flight.seq == event.seq), None)
            if flown is None:
                return state, ()
            in_flight = tuple(flight for flight in state.in_flight if flight != flown)
            refused = _refuse(
                replace(state, in_flight=in_flight), flown.seq, flown.kind, event.reason, now_ns
            )
            return _load(refused)
        case Unheard():
            return _acknowledged(state, (event.seq,))
        case Woken():
            return _load(replace(state, drained=False))
        case RowsWaiting():
            return _publish(state, event, now_ns)
        case Tick():
            pending = tuple(refusal for refusal in state.refused if refusal.retry_at_ns > now_ns)
            again = len(pending) < len(state.refused)
            return _load(replace(state, refused=pending, drained=state.drained and not again))


def packet_bytes(row: Row) -> int:
    """The size of the row's PUBLISH packet in MQTT 5, a few bytes too many at most."""
    framing = 5 + 2 + 2 + 4 + 3  # fixed header, topic length, packet id, properties length, content type
    pairs = sum(5 + len(name.encode()) + len(value.encode()) for name, value in row.properties)
    return framing + len(row.topic.encode()) + len(row.content_type.encode()) + pairs + len(row.payload)


def _acknowledged(state: CourierState, seqs: tuple[int, ...]) -> tuple[CourierState, tuple[Action, ...]]:
    in_flight = tuple(flight for flight in state.in_flight if flight.seq not in seqs)
    refused = tuple(refusal for refusal in state.refused if refusal.seq not in seqs)
    deliveries = state.deliveries + len(seqs)
    after, loads = _load(replace(state, in_flight=in_flight, refused=refused, deliveries=deliveries))
    return after, (Forget(seqs=seqs), *loads)


def _publish(state: CourierState, event: RowsWaiting, now_ns: int) -> tuple[CourierState, tuple[Action, ...]]:
    actions: list[Action] = []
    taken = 0
    for waiting in event.rows:
        if len(state.in_flight) >= state.window:
            break
        taken += 1
        seq, row = waiting.seq, waiting.row
        if seq in _held(state):
            continue
        limit, size = state.maximum_packet_bytes, packet_bytes(row)
        if limit is not None and size > limit:
            reason = f"its packet of {size} bytes is over the broker's limit of {limit}"
            state = _refuse(state, seq, row.kind, reason, now_ns)
        else:
            in_flight = (*state.in_flight, Flight(seq=seq, kind=row.kind))
            state = replace(state, in_flight=in_flight, publications=state.publications + 1)
            actions.append(Publish(waiting=waiting))
    state, loads = _load(replace(state, drained=event.complete and taken == len(event.rows)))
    return state, (*actions, *loads)


def _refuse(state: CourierState, seq: int, kind: Kind, reason: str, now_ns: int) -> CourierState:
    retry_at_ns = now_ns + state.retry_pause_ns
    refusal = Refusal(seq=seq, kind=kind, reason=reason, retry_at_ns=retry_at_ns)
    return replace(state, refused=(*state.refused, refusal), refusals=state.refusals + 1)


def _load(state: CourierState) -> tuple[CourierState, tuple[Action, ...]]:
    pending = [refusal.kind for refusal in state.refused]
    kinds = tuple(kind for kind in KINDS if pending.count(kind) < REFUSED_ROWS)
    room = state.window - len(state.in_flight)
    if not state.connected or state.drained or room <= 0 or not kinds:
        return state, ()
    return state, (Load(limit=room, kinds=kinds, exclude=_held(state)),)


def _held(state: CourierState) -> tuple[int, ...]:
    return (*(flight.seq for flight in state.in_flight), *(refusal.seq for refusal in state.refused))


class Link(Protocol):
    """A connection to a broker, as the courier sees it. `publish` and `wait` are for one thread."""

    def publish(self, waiting: Waiting) -> None:
        """Hand over one row without waiting; an Acknowledged, Refused or Disconnected follows."""

    def wait(self, timeout_s: float) -> Sequence[LinkEvent]:
        """What happened, in order, after waiting for it at most `timeout_s`."""

    def wake(self) -> None:
        """Make `wait` return with a Woken, from any thread."""


class Courier:
    """The thread between an open Outbox and a Link."""

    def __init__(
        self, outbox: Outbox, link: Link, *, clock: Clock, window: int = 20, retry_pause_s: float = 30.0
    ) -> None:
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._state = CourierState(window_limit=window, retry_pause_ns=round(retry_pause_s * 1e9))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._failure: Exception | None = None

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
                events = deque[Event](_merged(self._link.wait(TICK_S)))
                events.append(Tick())
                while events:
                    self._take(events.popleft(), events)
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("courier_failed", reason=str(error), exc_info=error)
            self._failure = error

    def _take(self, event: Event, events: deque[Event]) -> None:
        before = self._state
        self._state, actions = decide(before, event, self._clock.monotonic_ns())
        for refusal in self._state.refused[len(before.refused) :]:
            log.warning("row_refused", seq=refusal.seq, kind=refusal.kind, reason=refusal.reason)
        for action in actions:
            match action:
                case Publish(waiting=waiting):
                    self._link.publish(waiting)
                case Forget(seqs=seqs):
                    self._outbox.delivered(seqs)
                case Load(limit=limit, kinds=kinds, exclude=exclude):
                    rows = self._outbox.lease(limit, kinds=kinds, exclude=exclude)
                    events.appendleft(RowsWaiting(rows=rows, complete=len(rows) < limit))


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
