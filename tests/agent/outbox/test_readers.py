"""Each reader of the outbox has its depth, its age and its refusals, whatever is delivered to whom."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.contract.events import EventMaker
from agent.outbox.cursor import Cursor
from agent.outbox.database import Database
from agent.outbox.file import Reader, read_depth
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import Limits
from tests.agent.outbox.rows import TOPICS, crop, event, verdict
from tests.brokers import DEADLINE_S


def reader(outbox: Outbox, name: str) -> Reader:
    return next(one for one in outbox.depth().readers if one.name == name)


def test_what_waits_for_a_gateway_is_told_when_the_broker_has_all(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    cursor = Cursor(database, "archive")
    cursor.open()
    outbox.append([verdict(number) for number in range(1, 201)]).result(DEADLINE_S)
    clock.advance(9)
    outbox.delivered([one.seq for one in outbox.lease(300)])
    assert outbox.depth().rows == 0
    assert reader(outbox, "archive") == Reader(name="archive", rows=200, oldest_s=9.0, refused=0)
    assert reader(outbox, "mqtt").rows == 0
    cursor.advance(150)
    assert reader(outbox, "archive").rows == 50
    assert read_depth(outbox.path, clock=clock) == outbox.depth()
    cursor.close()


@pytest.mark.parametrize("seed", range(6))
def test_the_count_of_each_gateway_is_what_its_cursor_has_before_it(
    database: Database, outbox: Outbox, clock: ManualClock, seed: int
) -> None:
    rng = random.Random(seed)
    events = EventMaker(TOPICS, boot_id="b", clock=clock, new_id=lambda: f"e{rng.random()}")
    limits = Limits(max_bytes=150_000, history_s=50, crop_age_s=30)
    keeper = Keeper(database, limits=limits, hold_when_full=False, events=events, clock=clock)
    keeper.open()
    names = ("one", "two")
    cursors = [Cursor(database, name) for name in names]
    for cursor in cursors:
        cursor.open()
    for number in range(1, 61):
        outbox.append([verdict(number), crop(number, 3000), event(number)]).result(DEADLINE_S)
        match rng.randrange(4):
            case 0:
                outbox.delivered([one.seq for one in outbox.lease(rng.randrange(1, 20))])
            case 1:
                some = rng.choice(cursors)
                if rows := some.next(rng.randrange(1, 30)):
                    some.advance(rows[-1].seq)
            case 2:
                clock.advance(rng.random() * 20)
                keeper.tidy()
        for name, cursor in zip(names, cursors, strict=True):
            assert reader(outbox, name).rows == len(cursor.next(10_000))
    for cursor in cursors:
        cursor.close()
    keeper.close()


def test_refusals_are_counted_for_who_refused(
    database: Database, outbox: Outbox, clock: ManualClock, tmp_path: Path
) -> None:
    keeper = Keeper(
        database,
        limits=Limits(),
        hold_when_full=False,
        events=EventMaker(TOPICS, boot_id="b", clock=clock, new_id=lambda: "e"),
        clock=clock,
    )
    keeper.open()
    cursor = Cursor(database, "archive")
    cursor.open()
    outbox.append([verdict(1), verdict(2), verdict(3)]).result(DEADLINE_S)
    keeper.refused("archive", 1, "no", event(1))
    keeper.refused("mqtt", 2, "no", event(2))
    keeper.refused("archive", 3, "no", event(3))
    assert (reader(outbox, "archive").refused, reader(outbox, "mqtt").refused) == (2, 1)
    cursor.close()
    keeper.close()
