"""The courier's rules under any order of events: nothing forgotten unacknowledged, everything delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.contract.row import KINDS, Row, RowKind, Waiting
from agent.uplink.delivery import QUARANTINE_AT, QUARANTINE_PAUSES, REFUSED_ROWS, decide, packet_bytes
from agent.uplink.share import take
from agent.uplink.shipment import (
    Acknowledged,
    Await,
    Connected,
    CourierState,
    Disconnected,
    Event,
    Forget,
    Load,
    Publish,
    Refused,
    Report,
    Resend,
    RowsWaiting,
    Rules,
    Tick,
    Unheard,
    Woken,
)
from tests.agent.outbox.rows import crop, event, verdict

RETRY_NS = 30_000_000_000
LARGE_BYTES = 50_000
MAKERS = {"verdict": verdict, "event": event, "crop": crop}


@dataclass
class World:
    """An outbox and a broker that do what they are told, and a record of what the courier did."""

    rules: Rules
    state: CourierState = field(default_factory=CourierState)
    now_ns: int = 0
    stored: dict[int, Row] = field(default_factory=dict)
    committed: dict[int, Row] = field(default_factory=dict)
    on_the_wire: list[int] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    published: list[int] = field(default_factory=list)
    unconfirmed: dict[int, int] = field(default_factory=dict)
    limit_bytes: int | None = None

    def commit(self, row: Row) -> None:
        seq = len(self.committed) + 1
        self.committed[seq] = self.stored[seq] = row
        self.happen(Woken())

    def connect(self, receive_maximum: int, limit_bytes: int | None) -> None:
        self.on_the_wire.clear()
        self.limit_bytes = limit_bytes
        self.happen(Connected(receive_maximum=receive_maximum, maximum_packet_bytes=limit_bytes))

    def disconnect(self) -> None:
        self.on_the_wire.clear()
        self.happen(Disconnected())

    def acknowledge(self, index: int) -> None:
        seq = self.on_the_wire.pop(index % len(self.on_the_wire))
        self.acknowledged.add(seq)
        self.happen(Acknowledged(seqs=(seq,)))

    def refuse(self, index: int) -> None:
        seq = self.on_the_wire.pop(index % len(self.on_the_wire))
        self.happen(Refused(seq=seq, reason="not authorized"))

    def tick(self, seconds: int) -> None:
        self.now_ns += seconds * 1_000_000_000
        self.happen(Tick())

    def happen(self, event: Event) -> None:
        events = deque([event])
        while events:
            self.state, actions = decide(self.rules, self.state, events.popleft(), self.now_ns)
            assert len(self.state.in_flight) <= self.state.open_window <= self.rules.window
            for action in actions:
                match action:
                    case Publish(waiting=waiting):
                        assert waiting.seq not in self.on_the_wire, "published twice on one connection"
                        assert self.limit_bytes is None or packet_bytes(waiting) <= self.limit_bytes
                        self.on_the_wire.append(waiting.seq)
                        self.published.append(waiting.seq)
                    case Forget(seqs=seqs):
                        assert set(seqs) <= self.acknowledged, "forgotten without an acknowledgement"
                        for seq in seqs:
                            self.stored.pop(seq, None)
                    case Await(seqs=seqs, round=round_):
                        assert set(seqs) <= self.acknowledged, "awaited without an acknowledgement"
                        for seq in seqs:
                            self.unconfirmed[seq] = round_
                    case Resend(before_round=before_round):
                        for seq in [seq for seq, at in self.unconfirmed.items() if at < before_round]:
                            del self.unconfirmed[seq]
                    case Report(refusal=refusal):
                        assert refusal in self.state.refused
                    case Load():
                        events.appendleft(self.load(action))

    def confirm(self, index: int) -> None:
        if self.unconfirmed:
            seq = sorted(self.unconfirmed)[index % len(self.unconfirmed)]
            del self.unconfirmed[seq]
            self.stored.pop(seq)

    def load(self, load: Load) -> RowsWaiting:
        found = take(load, self.lease)
        return RowsWaiting(rows=found, complete=len(found) < load.limit)

    def lease(
        self, limit: int, *, kinds: Collection[RowKind], replays: int, exclude: Collection[int]
    ) -> tuple[Waiting, ...]:
        return tuple(
            Waiting(seq=seq, row=row)
            for kind in KINDS
            for seq, row in self.stored.items()
            if row.kind == kind and kind in kinds and seq not in exclude and seq not in self.unconfirmed
        )[:limit]


STEPS = st.one_of(
    st.tuples(st.just("commit"), st.sampled_from(KINDS), st.booleans()),
    st.tuples(st.just("connect"), st.integers(1, 30), st.sampled_from([None, None, LARGE_BYTES])),
    st.tuples(st.just("disconnect")),
    st.tuples(st.just("acknowledge"), st.integers(0, 100)),
    st.tuples(st.just("acknowledge"), st.integers(0, 100)),
    st.tuples(st.just("refuse"), st.integers(0, 100)),
    st.tuples(st.just("confirm"), st.integers(0, 100)),
    st.tuples(st.just("tick"), st.integers(0, 40)),
)


def lived(steps: list[tuple], window: int, *, mes: bool = False) -> World:  # type: ignore[type-arg]
    world = World(Rules(window=window, retry_pause_ns=RETRY_NS, confirmed_by_mes=mes))
    for name, *arguments in steps:
        if name == "commit":
            kind, large = arguments
            number = len(world.committed) + 1
            row = crop(number, LARGE_BYTES) if large and kind == "crop" else MAKERS[kind](number)
            world.commit(row)
        elif name not in ("acknowledge", "refuse") or world.on_the_wire:
            getattr(world, name)(*arguments)
    return world


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=80), st.integers(1, 20))
def test_whatever_happened_everything_is_delivered_once_the_broker_takes_it(steps, window) -> None:  # type: ignore[no-untyped-def]
    world = lived(steps, window)
    world.connect(receive_maximum=30, limit_bytes=None)
    for _ in range(2 * len(world.committed) + 2):
        while world.on_the_wire:
            world.acknowledge(0)
        world.tick(QUARANTINE_PAUSES * RETRY_NS // 1_000_000_000)
    assert not world.stored
    assert world.acknowledged == set(world.committed)
    assert world.state.refused == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=60), st.integers(1, 20))
def test_where_the_mes_confirms_every_verdict_stays_until_it_has(steps, window) -> None:  # type: ignore[no-untyped-def]
    world = lived(steps, window, mes=True)
    world.connect(receive_maximum=30, limit_bytes=None)
    for _ in range(2 * len(world.committed) + 2):
        while world.on_the_wire:
            world.acknowledge(0)
        world.tick(QUARANTINE_PAUSES * RETRY_NS // 1_000_000_000)
    assert {row.kind for row in world.stored.values()} <= {"verdict"}
    for _ in range(len(world.committed)):
        while world.on_the_wire:
            world.acknowledge(0)
        world.confirm(0)
    assert not world.stored


def test_an_unconfirmed_verdict_is_said_again_after_a_whole_round_and_not_before() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS, confirmed_by_mes=True))
    world.commit(verdict(1))
    world.connect(receive_maximum=20, limit_bytes=None)
    world.tick(59)
    world.acknowledge(0)
    world.tick(60)
    assert world.published == [1]
    world.tick(60)
    assert world.published == [1, 1]
    world.acknowledge(0)
    world.confirm(0)
    world.tick(600)
    assert world.published == [1, 1]


def test_a_row_that_ends_connections_is_found_and_quarantined_and_the_others_pass() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS))
    for number in range(1, 31):
        world.commit(verdict(number))
    ends = 0
    while 7 in world.stored and not world.state.refused:
        world.connect(receive_maximum=20, limit_bytes=None)
        while world.on_the_wire and 7 not in world.on_the_wire:
            world.acknowledge(0)
        world.disconnect()
        ends += 1
    assert ends <= QUARANTINE_AT + 5  # a growing window that has it among others, first
    assert [(refusal.seq, refusal.quarantined) for refusal in world.state.refused] == [(7, True)]
    world.connect(receive_maximum=20, limit_bytes=None)
    while world.on_the_wire:
        world.acknowledge(0)
    assert set(world.stored) == {7}
    world.tick(QUARANTINE_PAUSES * RETRY_NS // 1_000_000_000 + 1)
    assert world.on_the_wire == [7]


def test_a_broker_that_ends_every_connection_is_to_blame_itself_and_no_row_waits_for_it() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS))
    world.commit(verdict(1))
    for _ in range(10):
        world.connect(receive_maximum=20, limit_bytes=None)
        world.disconnect()
    if world.state.refused:
        world.connect(receive_maximum=20, limit_bytes=None)
        world.disconnect()
    world.connect(receive_maximum=20, limit_bytes=None)
    assert world.on_the_wire == [1]


def test_one_bad_link_does_not_quarantine_what_it_delivers() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS))
    for number in range(1, 11):
        world.commit(verdict(number))
    while world.stored:
        world.connect(receive_maximum=20, limit_bytes=None)
        world.acknowledge(0)
        world.disconnect()
    assert world.state.refusals == 0


def test_verdicts_nobody_hears_stay_where_a_subscriber_is_required() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS, require_subscriber=True))
    world.connect(receive_maximum=20, limit_bytes=None)
    for number in range(1, 201):
        world.commit(verdict(number))
    while world.on_the_wire:
        world.happen(Unheard(seq=world.on_the_wire.pop(0)))
    assert len(world.stored) == 200
    assert world.state.heard is False
    assert REFUSED_ROWS <= len(world.published) < REFUSED_ROWS + 20
    while world.stored:
        world.tick(31)
        while world.on_the_wire:
            world.acknowledge(0)
    assert world.state.heard is True


def test_verdicts_nobody_hears_go_where_no_subscriber_is_required() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS))
    world.connect(receive_maximum=20, limit_bytes=None)
    world.commit(verdict(1))
    world.acknowledged.add(1)
    world.happen(Unheard(seq=world.on_the_wire.pop(0)))
    assert not world.stored
    assert world.state.heard is False


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=80), st.integers(1, 20))
def test_at_least_half_of_the_window_is_used_while_rows_wait_that_may_go(steps, window) -> None:  # type: ignore[no-untyped-def]
    world = lived(steps, window)
    pending = {refusal.seq for refusal in world.state.refused}
    landed = {flight.seq for flight in world.state.landed}
    may_go = set(world.stored) - set(world.on_the_wire) - pending - landed
    if world.state.connected and may_go:
        assert len(landed) < world.state.open_window / 2
        # More than the window where a row was committed meanwhile; the wire alone never has more (`happen`).
        assert len(world.on_the_wire) + len(landed) >= world.state.open_window


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS.filter(lambda step: step[-1] != LARGE_BYTES), max_size=80), st.integers(1, 20))
def test_rows_of_a_kind_are_first_published_in_the_order_of_commits(steps, window) -> None:  # type: ignore[no-untyped-def]
    world = lived(steps, window)
    first = list(dict.fromkeys(world.published))
    for kind in KINDS:
        of_kind = [seq for seq in first if world.committed[seq].kind == kind]
        assert of_kind == sorted(of_kind)


def test_more_refused_crops_than_the_courier_remembers_do_not_hold_up_a_verdict() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS))
    world.connect(receive_maximum=20, limit_bytes=LARGE_BYTES)
    for number in range(500):
        world.commit(crop(number, LARGE_BYTES))
    world.commit(verdict(1))
    assert world.on_the_wire == [501]
    assert len(world.state.refused) < 100


def test_a_row_over_the_brokers_packet_limit_waits_for_a_broker_that_takes_it() -> None:
    world = World(Rules(window=20, retry_pause_ns=RETRY_NS))
    world.commit(crop(1, LARGE_BYTES))
    world.connect(receive_maximum=20, limit_bytes=LARGE_BYTES)
    assert world.on_the_wire == []
    assert "over the broker's limit of 50000" in world.state.refused[0].reason
    world.connect(receive_maximum=20, limit_bytes=None)
    world.tick(31)
    assert world.on_the_wire == [1]
    assert world.state.refusals == 1
