"""Verdicts go first, and no class of rows is passed over for ever, however rows come."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.contract.row import KINDS, Row, RowKind, Waiting
from agent.uplink.delivery import decide
from agent.uplink.share import PERIOD, take, turns
from agent.uplink.shipment import (
    Acknowledged,
    Connected,
    CourierState,
    Event,
    Forget,
    Load,
    Publish,
    RowsWaiting,
    Rules,
    Tick,
    Woken,
)
from tests.agent.outbox.rows import crop, event, verdict

CLASSES: tuple[RowKind | None, ...] = (*KINDS, None)
BEHIND: tuple[RowKind | None, ...] = ("event", "crop", None)
MAKERS = {"verdict": verdict, "event": event, "crop": crop, None: verdict}


@dataclass
class Shelf:
    """What waits, by class; None is a replay."""

    rows: dict[RowKind | None, deque[Waiting]] = field(
        default_factory=lambda: {one: deque() for one in CLASSES}
    )
    count: int = 0

    def commit(self, kind: RowKind | None) -> None:
        self.count += 1
        row: Row = MAKERS[kind](self.count)
        self.rows[kind].append(Waiting(seq=self.count, row=row, replayed=kind is None))

    def lease(
        self, limit: int, /, *, kinds: Collection[RowKind], replays: int, exclude: Collection[int]
    ) -> tuple[Waiting, ...]:
        found: list[Waiting] = []
        for kind in CLASSES:
            if kind is None or kind in kinds:
                room = limit - len(found) if kind else min(limit - len(found), replays)
                free = (one for one in self.rows[kind] if one.seq not in exclude)
                found += islice(free, max(room, 0))
        return tuple(found)

    def remove(self, taken: Collection[int]) -> None:
        for rows in self.rows.values():
            while rows and rows[0].seq in taken:
                rows.popleft()


def class_of(one: Waiting) -> RowKind | None:
    return None if one.replayed else one.row.kind


def load(limit: int, published: int, *, kinds: tuple[RowKind, ...] = KINDS, replays: int = 1000) -> Load:
    return Load(limit=limit, kinds=kinds, replays=replays, exclude=(), published=published)


@given(st.integers(0, 1000), st.integers(1, 100), st.sampled_from(BEHIND))
def test_turns_in_pieces_are_the_turns_of_the_whole(published: int, room: int, kind: RowKind | None) -> None:
    assert turns(published, room, kind) == sum(turns(published + one, 1, kind) for one in range(room))
    assert turns(published, PERIOD, kind) == 1


@given(
    st.lists(st.tuples(st.integers(1, 25), st.lists(st.sampled_from(CLASSES), max_size=30)), max_size=30),
    st.integers(0, 9),
)
def test_no_class_is_passed_over_for_more_than_a_period_and_each_keeps_its_order(
    steps: list[tuple[int, list[RowKind | None]]], published: int
) -> None:
    shelf = Shelf()
    passed = dict.fromkeys(CLASSES, 0)
    last = dict.fromkeys(CLASSES, 0)
    for limit, arriving in steps:
        for kind in arriving:
            shelf.commit(kind)
        waiting = {kind: len(rows) for kind, rows in shelf.rows.items()}
        rows = take(load(limit, published), shelf.lease)
        assert len(rows) == min(limit, sum(waiting.values()))
        for kind in CLASSES:
            went = [one.seq for one in rows if class_of(one) == kind]
            assert went == sorted(set(went)) and all(seq > last[kind] for seq in went)
            last[kind] = max([last[kind], *went])
            if waiting[kind] > len(went):  # some were left behind
                passed[kind] = 0 if went else passed[kind] + len(rows)
                assert passed[kind] < PERIOD
            else:
                passed[kind] = 0
        assert [CLASSES.index(class_of(one)) for one in rows] == sorted(
            CLASSES.index(class_of(one)) for one in rows
        )
        verdicts = sum(class_of(one) == "verdict" for one in rows)
        if waiting["verdict"] >= limit:
            assert verdicts >= limit - sum(turns(published, limit, kind) for kind in BEHIND)
        published += len(rows)
        shelf.remove({one.seq for one in rows})


@pytest.mark.parametrize("blocked", KINDS)
def test_a_kind_that_may_not_go_has_no_turn(blocked: RowKind) -> None:
    shelf = Shelf()
    for kind in CLASSES * 20:
        shelf.commit(kind)
    kinds = tuple(kind for kind in KINDS if kind != blocked)
    rows = take(load(20, 0, kinds=kinds), shelf.lease)
    assert len(rows) == 20 and blocked not in {class_of(one) for one in rows}


@given(st.sampled_from(["event", "crop"]), st.integers(0, 20), st.integers(1, 20))
def test_a_kind_that_was_refused_goes_behind_what_was_not(
    refused: RowKind, published: int, limit: int
) -> None:
    shelf = Shelf()
    for kind in [refused, "verdict"] * 30:
        shelf.commit(kind)
    wanted = replace(load(limit, published), troubled=frozenset([refused]))
    assert {class_of(one) for one in take(wanted, shelf.lease)} == {"verdict"}


@given(st.integers(0, 5), st.integers(1, 40))
def test_replays_never_exceed_what_is_allowed(allowed: int, limit: int) -> None:
    shelf = Shelf()
    for kind in CLASSES * 50:
        shelf.commit(kind)
    rows = take(load(limit, 0, replays=allowed), shelf.lease)
    assert sum(one.replayed for one in rows) <= allowed


def test_crops_of_an_outage_drain_while_verdicts_go_on_faster_than_they_leave() -> None:
    """Thirty seconds without a broker at 200 verdicts/s, then as many more while it takes 100 rows/s."""
    shelf = Shelf()
    rules = Rules(window=20, retry_pause_ns=1)
    state = CourierState()
    went: list[Waiting] = []
    now_ns = 0

    def happen(first: Event) -> None:
        nonlocal state
        events = deque([first])
        while events:
            state, actions = decide(rules, state, events.popleft(), now_ns)
            for action in actions:
                match action:
                    case Publish(waiting=waiting):
                        went.append(waiting)
                    case Forget(seqs=seqs):
                        shelf.remove(seqs)
                    case Load():
                        rows = take(action, shelf.lease)
                        events.appendleft(RowsWaiting(rows=rows, complete=len(rows) < action.limit))

    for number in range(6000):
        shelf.commit("verdict")
        if number % 60 == 0:
            shelf.commit("crop")
    crops = len(shelf.rows["crop"])
    happen(Connected())
    for _ in range(1500):  # 15 s, a row each 10 ms
        now_ns += 10_000_000
        shelf.commit("verdict")
        shelf.commit("verdict")
        happen(Woken())
        happen(Acknowledged(seqs=(state.in_flight[0].seq,)))
        happen(Tick())
    assert sum(class_of(one) == "crop" for one in went) == crops
    verdicts = [one.seq for one in went if class_of(one) == "verdict"]
    assert verdicts == sorted(verdicts) and len(verdicts) > 0.85 * len(went)
