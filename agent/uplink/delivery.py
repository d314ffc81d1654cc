"""The rules of delivery: what the courier does upon each event. Nothing here touches anything.

A refused row stays in the outbox, is reported as a dead letter, and is tried again after a pause;
rows behind it pass. When one kind has REFUSED_ROWS refusals pending, that kind alone waits.

After a connection that ended with rows on their way the next one begins with a window of one, which
doubles with every acknowledgement. A row that ends connections is thus soon alone on its way; at
QUARANTINE_AT such ends it is put aside like a refused one, for longer. A connection that ends without
any acknowledgement while such a row is aside acquits it: then the broker is to blame.

Acknowledgements are noted together, when half of the window is free or nothing is on its way: one
transaction for many rows.

Where the MES confirms (`confirmed_by_mes`), an acknowledged verdict stays, and is queued again when
a whole round has passed without the confirmation. Replays go last, and at most `replays_per_s`; what
comes behind verdicts has a share of the turns all the same, see `share.py`.
"""

from __future__ import annotations

from dataclasses import replace

from agent.contract import chain
from agent.contract.row import KINDS, RowKind, Waiting
from agent.uplink.shipment import (
    SECOND_NS,
    Acknowledged,
    Action,
    Await,
    Connected,
    CourierState,
    Disconnected,
    Event,
    Flight,
    Forget,
    Load,
    Publish,
    Refusal,
    Refused,
    Report,
    Resend,
    RowsWaiting,
    Rules,
    Tick,
    Unheard,
    Woken,
)

REFUSED_ROWS = 64
QUARANTINE_AT = 3
QUARANTINE_PAUSES = 20  # times the pause of a refusal
LANDED_NS = 20_000_000  # how long an acknowledgement may wait for company


def decide(
    rules: Rules, state: CourierState, event: Event, now_ns: int
) -> tuple[CourierState, tuple[Action, ...]]:
    """What follows from `event`, and what is to be done, in this order."""
    match event:
        case Connected():
            window = min(rules.window, event.receive_maximum)
            limit = event.maximum_packet_bytes
            connected = replace(state, connected=True, window=window, maximum_packet_bytes=limit)
            return _load(replace(connected, in_flight=(), drained=False, acknowledged_here=0))
        case Disconnected():
            return _disconnected(rules, state, now_ns)
        case Acknowledged():
            return _acknowledged(rules, state, event.seqs, True, now_ns)
        case Unheard():
            flown = _flight(state, event.seq)
            if flown is None or flown.kind != "verdict":
                return _acknowledged(rules, state, (event.seq,), None, now_ns)
            if not rules.require_subscriber:
                return _acknowledged(rules, state, (event.seq,), False, now_ns)
            unheard = replace(state, heard=False)
            return _refused(rules, unheard, flown, "nobody is subscribed to its topic", now_ns)
        case Refused():
            flown = _flight(state, event.seq)
            return (state, ()) if flown is None else _refused(rules, state, flown, event.reason, now_ns)
        case Woken():
            return _load(replace(state, drained=False))
        case RowsWaiting():
            return _publish(rules, state, event, now_ns)
        case Tick():
            return _tick(rules, state, now_ns)


def packet_bytes(waiting: Waiting) -> int:
    """The size of the row's PUBLISH packet in MQTT 5, a few bytes too many at most."""
    row = waiting.row
    framing = 5 + 2 + 2 + 4 + 3  # fixed header, topic length, packet id, properties length, content type
    pairs = sum(5 + len(name.encode()) + len(value.encode()) for name, value in row.properties)
    chained = 5 + len(chain.NAME) + chain.MEMBER_BYTES if waiting.place else 0
    texts = len(row.topic.encode()) + len(row.content_type.encode())
    return framing + texts + pairs + chained + len(row.payload)


def _disconnected(rules: Rules, state: CourierState, now_ns: int) -> tuple[CourierState, tuple[Action, ...]]:
    flights = state.in_flight
    if not state.acknowledged_here:
        state = replace(state, refused=tuple(one for one in state.refused if not one.quarantined))
    state, known = _settled(rules, replace(state, connected=False, window=0, in_flight=()))
    if not flights:
        return replace(state, opening=None), known
    state = replace(state, opening=1)
    if len(flights) > 1:
        return state, known
    (flown,) = flights
    ends = 1 + (state.suspect[1] if state.suspect is not None and state.suspect[0] == flown.seq else 0)
    if ends < QUARANTINE_AT:
        return replace(state, suspect=(flown.seq, ends)), known
    reason = f"{ends} connections ended while it alone was on its way"
    refusal = replace(
        _refusal(rules, state, flown.seq, flown.kind, reason, now_ns, pauses=QUARANTINE_PAUSES),
        quarantined=True,
    )
    return _with(replace(state, suspect=None), refusal), (*known, Report(refusal=refusal))


def _acknowledged(
    rules: Rules, state: CourierState, seqs: tuple[int, ...], heard: bool | None, now_ns: int
) -> tuple[CourierState, tuple[Action, ...]]:
    flown = tuple(flight for flight in state.in_flight if flight.seq in seqs)
    opening = None if state.opening is None else state.opening * 2 ** len(seqs)
    state = replace(
        state,
        in_flight=tuple(flight for flight in state.in_flight if flight.seq not in seqs),
        landed=(*state.landed, *flown),
        landed_at_ns=state.landed_at_ns if state.landed else now_ns,
        deliveries=state.deliveries + len(flown),
        acknowledged_here=state.acknowledged_here + len(flown),
        opening=None if opening is None or opening >= state.window else opening,
        heard=heard if heard is not None and any(one.kind == "verdict" for one in flown) else state.heard,
        suspect=None if state.suspect is not None and state.suspect[0] in seqs else state.suspect,
    )
    if state.in_flight and len(state.landed) < state.open_window / 2:
        return state, ()
    return _settled(rules, state)


def _settled(rules: Rules, state: CourierState) -> tuple[CourierState, tuple[Action, ...]]:
    """Have the outbox know of what has landed, and load what fits in its place."""
    goes: list[int] = []
    stays: list[int] = []
    for flight in state.landed:
        waits = rules.confirmed_by_mes and flight.kind == "verdict" and not flight.replayed
        (stays if waits else goes).append(flight.seq)
    actions: list[Action] = [Forget(seqs=tuple(goes))] if goes else []
    if stays:
        actions.append(Await(seqs=tuple(stays), round=state.round))
    after, loads = _load(replace(state, landed=()))
    return after, (*actions, *loads)


def _refused(
    rules: Rules, state: CourierState, flown: Flight, reason: str, now_ns: int
) -> tuple[CourierState, tuple[Action, ...]]:
    in_flight = tuple(flight for flight in state.in_flight if flight != flown)
    refusal = _refusal(rules, state, flown.seq, flown.kind, reason, now_ns)
    after, loads = _load(_with(replace(state, in_flight=in_flight), refusal))
    return after, (Report(refusal=refusal), *loads)


def _tick(rules: Rules, state: CourierState, now_ns: int) -> tuple[CourierState, tuple[Action, ...]]:
    """Refusals whose pause is over, one more look at the outbox a second, a new round."""
    pending = tuple(refusal for refusal in state.refused if refusal.retry_at_ns > now_ns)
    again = len(pending) < len(state.refused) or now_ns - state.looked_at_ns >= SECOND_NS
    earned = rules.replays_per_s * (now_ns - state.allowed_at_ns) / SECOND_NS
    state = replace(
        state,
        refused=pending,
        drained=state.drained and not again,
        replay_allowance=min(state.replay_allowance + earned, max(rules.replays_per_s, 1.0)),
        allowed_at_ns=now_ns,
        looked_at_ns=now_ns if again else state.looked_at_ns,
    )
    actions: list[Action] = []
    if state.landed and now_ns - state.landed_at_ns >= LANDED_NS:
        state, settled = _settled(rules, state)
        actions += settled
    if rules.confirmed_by_mes and now_ns // rules.round_ns > state.round:
        state = replace(state, round=now_ns // rules.round_ns, drained=False)
        actions.append(Resend(before_round=state.round - 1))
    after, loads = _load(state)
    return after, (*actions, *loads)


def _publish(
    rules: Rules, state: CourierState, event: RowsWaiting, now_ns: int
) -> tuple[CourierState, tuple[Action, ...]]:
    actions: list[Action] = []
    flights: list[Flight] = []
    held = set(_held(state))
    room = state.open_window - len(state.in_flight)
    taken = 0
    for waiting in event.rows:
        if len(flights) >= room:
            break
        taken += 1
        seq, row = waiting.seq, waiting.row
        if seq in held:
            continue
        held.add(seq)
        limit = state.maximum_packet_bytes
        if limit is not None and (size := packet_bytes(waiting)) > limit:
            reason = f"its packet of {size} bytes is over the broker's limit of {limit}"
            refusal = _refusal(rules, state, seq, row.kind, reason, now_ns)
            state = _with(state, refusal)
            actions.append(Report(refusal=refusal))
        else:
            flights.append(Flight(seq=seq, kind=row.kind, replayed=waiting.replayed))
            actions.append(Publish(waiting=waiting))
    state = replace(
        state,
        in_flight=(*state.in_flight, *flights),
        publications=state.publications + len(flights),
        replay_allowance=state.replay_allowance - sum(flight.replayed for flight in flights),
        drained=event.complete and taken == len(event.rows),
    )
    state, loads = _load(state)
    return state, (*actions, *loads)


def _refusal(
    rules: Rules, state: CourierState, seq: int, kind: RowKind, reason: str, now_ns: int, pauses: int = 1
) -> Refusal:
    retry_at_ns = now_ns + pauses * rules.retry_pause_ns
    return Refusal(seq=seq, kind=kind, reason=reason, retry_at_ns=retry_at_ns)


def _with(state: CourierState, refusal: Refusal) -> CourierState:
    return replace(state, refused=(*state.refused, refusal), refusals=state.refusals + 1)


def _load(state: CourierState) -> tuple[CourierState, tuple[Action, ...]]:
    pending = [refusal.kind for refusal in state.refused]
    kinds = tuple(kind for kind in KINDS if pending.count(kind) < REFUSED_ROWS)
    room = state.open_window - len(state.in_flight)
    if not state.connected or state.drained or room <= 0 or not kinds:
        return state, ()
    replays = max(0, int(state.replay_allowance))
    load = Load(
        limit=room,
        kinds=kinds,
        replays=replays,
        exclude=_held(state),
        published=state.publications,
        troubled=frozenset(pending),
    )
    return state, (load,)


def _flight(state: CourierState, seq: int) -> Flight | None:
    return next((flight for flight in state.in_flight if flight.seq == seq), None)


def _held(state: CourierState) -> tuple[int, ...]:
    flights = (*state.in_flight, *state.landed)
    return (*(flight.seq for flight in flights), *(refusal.seq for refusal in state.refused))
