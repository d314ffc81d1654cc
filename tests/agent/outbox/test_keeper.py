"""The bounds: history goes first, then crops with a tombstone each, never a verdict; at last all waits."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from pathlib import Path
from typing import Literal

import pytest

from agent.clock import ManualClock
from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.outbox.cursor import Cursor
from agent.outbox.database import Database
from agent.outbox.file import FullError
from agent.outbox.history import dead_letters
from agent.outbox.keeper import Keeper
from agent.outbox.outbox import Outbox
from agent.outbox.spool import DAY_S, Limits, Usage, excess_bytes, has_room
from tests.agent.outbox.rows import TOPICS, crop, event, verdict
from tests.brokers import DEADLINE_S, eventually

MB = 1_000_000


class Disk:
    """Says how much is free, as told."""

    def __init__(self) -> None:
        self.free = 1000 * MB

    def __call__(self, folder: Path) -> int:
        return self.free


@pytest.fixture
def disk() -> Disk:
    return Disk()


class Tight(Database):
    """One whose last connection may grow the file by so many pages only."""

    def connect(self, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
        self.last = super().connect(synchronous)
        return self.last

    def leave(self, pages: int) -> None:
        with self.turn():
            (there,) = self.last.execute("PRAGMA page_count").fetchone()
            self.last.execute(f"PRAGMA max_page_count = {there + pages}")


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Tight:
    return Tight(tmp_path / "outbox.sqlite3", clock=clock)


@pytest.fixture
def keep(
    outbox: Outbox, database: Database, clock: ManualClock, disk: Disk
) -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def make(limits: Limits, *, hold_when_full: bool = True) -> Keeper:
        numbers = iter(range(100_000))
        events = EventMaker(TOPICS, boot_id="boot", clock=clock, new_id=lambda: f"note-{next(numbers)}")
        keeper = Keeper(
            database,
            limits=limits,
            hold_when_full=hold_when_full,
            events=events,
            clock=clock,
            disk_free_bytes=disk,
        )
        keeper.open()
        made.append(keeper)
        return keeper

    yield make
    for keeper in made:
        keeper.close()


def commit(outbox: Outbox, *rows: Row) -> None:
    outbox.append(rows).result(DEADLINE_S)


def deliver(outbox: Outbox, kind: str) -> None:
    outbox.delivered([one.seq for one in outbox.lease(100_000) if one.row.kind == kind])


def ids(outbox: Outbox, kind: str) -> list[str]:
    return [one.row.id for one in outbox.lease(100_000) if one.row.kind == kind]


def events_of(outbox: Outbox) -> list[tuple[str, dict[str, object]]]:
    found = [json.loads(one.row.payload) for one in outbox.lease(100_000) if one.row.kind == "event"]
    return [(message["event"], message["data"]) for message in found]


def test_within_the_bounds_nothing_is_deleted(outbox: Outbox, keep: Callable[..., Keeper]) -> None:
    commit(outbox, verdict(1), crop(1), event(1))
    done = keep(Limits(max_bytes=10 * MB)).tidy()
    assert (done.trimmed, done.evicted) == (0, ())
    assert outbox.depth().rows == 3


def test_delivered_history_goes_before_any_crop(outbox: Outbox, keep: Callable[..., Keeper]) -> None:
    for number in range(1, 101):
        commit(outbox, dataclasses.replace(verdict(number), payload=b"v" * 20_000))
    deliver(outbox, "verdict")
    commit(outbox, *(crop(number, 20_000) for number in range(20)))
    keeper = keep(Limits(max_bytes=MB))
    assert keeper.tidy().trimmed > 50
    assert len(ids(outbox, "crop")) == 20


def test_crops_of_passes_go_before_those_of_fails_oldest_first_each_with_a_tombstone(
    outbox: Outbox, keep: Callable[..., Keeper]
) -> None:
    fails = [crop(number, 20_000) for number in range(20)]
    passes = [dataclasses.replace(crop(number, 20_000), of_pass=True) for number in range(20, 40)]
    commit(outbox, verdict(1), *fails, *passes)
    keeper = keep(Limits(max_bytes=MB // 2))
    evicted = [one for _ in range(20) for one in keeper.tidy().evicted]
    gone = [one.crop_id for one in evicted]
    assert gone[:20] == [f"crop-{number}" for number in range(20, 40)]
    assert gone[20:] == [f"crop-{number}" for number in range(len(gone) - 20)]
    assert ids(outbox, "crop") == [f"crop-{number}" for number in range(len(gone) - 20, 20)]
    stones = [data for name, data in events_of(outbox) if name == "crop_evicted"]
    assert [stone["crop_id"] for stone in stones] == gone
    assert ids(outbox, "verdict") == ["verdict-1"]


def test_a_crop_that_waited_too_long_is_evicted_and_verdicts_stay(
    outbox: Outbox, keep: Callable[..., Keeper], clock: ManualClock
) -> None:
    keeper = keep(Limits(crop_age_s=DAY_S))
    commit(outbox, verdict(1), crop(1))
    clock.advance(DAY_S + 1)
    commit(outbox, crop(2))
    assert [one.crop_id for one in keeper.tidy().evicted] == ["crop-1"]
    assert (ids(outbox, "verdict"), ids(outbox, "crop")) == (["verdict-1"], ["crop-2"])


def test_history_is_kept_for_its_days(
    outbox: Outbox, keep: Callable[..., Keeper], clock: ManualClock
) -> None:
    keeper = keep(Limits(history_s=7 * DAY_S))
    commit(outbox, verdict(1))
    deliver(outbox, "verdict")
    clock.advance(6 * DAY_S)
    keeper.tidy()
    assert keeper.replay(1, 1).queued == 1
    deliver_replays(outbox)
    clock.advance(2 * DAY_S)
    assert keeper.tidy().trimmed == 1
    assert keeper.replay(1, 1).queued == 0


def deliver_replays(outbox: Outbox) -> list[Row]:
    found = [one for one in outbox.lease(1000, replays=1000) if one.replayed]
    outbox.delivered([one.seq for one in found])
    return [one.row for one in found]


def test_with_nothing_left_to_delete_the_line_waits_with_an_alarm_until_there_is_room(
    outbox: Outbox, keep: Callable[..., Keeper], disk: Disk
) -> None:
    keeper = keep(Limits(min_free_bytes=100 * MB))
    commit(outbox, verdict(1))
    disk.free = 10 * MB
    keeper.tidy()
    assert keeper.full
    assert [name for name, _ in events_of(outbox)] == ["spool_full"]
    held = outbox.append([verdict(2)])
    assert is_pending(held)
    disk.free = 101 * MB
    keeper.tidy()
    assert keeper.full, "no flapping just above the bound"
    disk.free = 110 * MB
    keeper.tidy()
    assert not keeper.full
    held.result(DEADLINE_S)
    assert [name for name, _ in events_of(outbox)] == ["spool_full", "spool_recovered"]
    assert ids(outbox, "verdict") == ["verdict-1", "verdict-2"]


def is_pending(future: Future[None]) -> bool:
    try:
        future.result(0.5)
    except NotDone:
        return True
    return False


def test_told_to_go_on_the_line_goes_on_into_the_reserve(
    outbox: Outbox, keep: Callable[..., Keeper], disk: Disk
) -> None:
    keeper = keep(Limits(min_free_bytes=100 * MB), hold_when_full=False)
    disk.free = 0
    keeper.tidy()
    assert keeper.full
    commit(outbox, verdict(1))


@pytest.mark.slow
def test_a_held_outbox_commits_what_it_was_given_when_it_is_closed(
    outbox: Outbox, keep: Callable[..., Keeper], disk: Disk
) -> None:
    keeper = keep(Limits(min_free_bytes=100 * MB))
    disk.free = 0
    keeper.tidy()
    held = outbox.append([verdict(1)])
    keeper.close()
    outbox.close()
    held.result(0)


def test_a_replay_is_flagged_and_goes_last_and_only_as_far_as_allowed(
    outbox: Outbox, keep: Callable[..., Keeper]
) -> None:
    keeper = keep(Limits())
    payload = b'{"replayed":false,"detail":"\\"replayed\\":false"}'
    commit(outbox, *(dataclasses.replace(verdict(number), payload=payload) for number in range(1, 11)))
    deliver(outbox, "verdict")
    commit(outbox, verdict(11), crop(1))
    assert keeper.replay(3, 20).queued == 8, "3 to 10; 11 still waits for its first time"
    assert keeper.replay(3, 5).queued == 0, "they wait already"
    found = outbox.lease(20, replays=2)
    assert [one.row.id for one in found] == ["verdict-11", "crop-1", "verdict-3", "verdict-4"]
    row = found[2].row
    assert json.loads(row.payload) == {"replayed": True, "detail": '"replayed":false'}
    assert ("replayed", "true") in row.properties
    assert len(deliver_replays(outbox)) == 8
    assert keeper.replay(1, 2).queued == 2, "delivered history can be asked for again and again"


def test_confirmed_verdicts_go_and_others_stay(outbox: Outbox, keep: Callable[..., Keeper]) -> None:
    keeper = keep(Limits())
    commit(outbox, *(verdict(number) for number in range(1, 6)))
    outbox.await_confirmation([one.seq for one in outbox.lease(3)], round_=7)
    assert (outbox.depth().kinds["verdict"], outbox.depth().unconfirmed) == (2, 3)
    assert keeper.confirm(["verdict-2", "verdict-4", "verdict-9"]) == 2
    assert outbox.resend(before_round=7) == 0
    assert outbox.resend(before_round=8) == 2
    assert ids(outbox, "verdict") == ["verdict-1", "verdict-3", "verdict-5"]
    assert keeper.replay(1, 9).queued == 2, "what the MES confirmed is history"


def test_what_is_unconfirmed_at_the_end_is_sent_again_after_a_start(tmp_path: Path, outbox: Outbox) -> None:
    commit(outbox, verdict(1))
    outbox.await_confirmation([1], round_=3)
    outbox.close()
    again = Outbox(Database(outbox.path, clock=ManualClock()))
    again.open()
    assert ids(again, "verdict") == ["verdict-1"]
    again.close()


def test_a_performed_command_is_remembered(
    outbox: Outbox, keep: Callable[..., Keeper], clock: ManualClock
) -> None:
    keeper = keep(Limits())
    assert not keeper.seen("a")
    keeper.remember("a", clock.utc_now())
    assert keeper.seen("a")


def test_a_crop_stays_for_a_gateway_that_has_not_come_to_it(
    database: Database, outbox: Outbox, keep: Callable[..., Keeper]
) -> None:
    slow = Cursor(database, "slow")
    slow.open()
    commit(outbox, verdict(1), crop(1), verdict(2))
    outbox.delivered([one.seq for one in outbox.lease(10)])
    assert [one.row.id for one in slow.next(10)] == ["verdict-1", "crop-1", "verdict-2"]
    slow.advance(2)
    assert [one.row.id for one in slow.next(10)] == ["verdict-2"]
    slow.close()
    again = Cursor(database, "slow")
    again.open()
    assert [one.row.id for one in again.next(10)] == ["verdict-2"]
    again.close()
    fresh = Cursor(database, "fresh")
    fresh.open()
    assert fresh.next(10) == (), "a new gateway begins with what comes"
    fresh.close()


def test_what_a_slow_gateway_loses_to_the_bounds_is_counted(
    database: Database, outbox: Outbox, keep: Callable[..., Keeper]
) -> None:
    slow = Cursor(database, "slow")
    slow.open()
    for number in range(1, 101):
        commit(outbox, dataclasses.replace(verdict(number), payload=b"v" * 20_000))
    deliver(outbox, "verdict")
    slow.advance(10)
    keeper = keep(Limits(max_bytes=MB))
    done = keeper.tidy()
    assert keeper.skipped == done.skipped == {"slow": done.trimmed - 10}
    keeper.keep_cursors([])
    slow.close()


@pytest.mark.parametrize(
    ("stored", "free", "excess", "room"),
    [(50, 50, 0, True), (110, 50, 10, False), (50, 15, 5, False), (98, 50, 0, False), (50, 20, 0, False)],
)
def test_the_excess_is_what_leads_back_into_both_bounds(
    stored: int, free: int, excess: int, room: bool
) -> None:
    limits, usage = Limits(max_bytes=100, min_free_bytes=20), Usage(stored_bytes=stored, free_bytes=free)
    assert excess_bytes(usage, limits) == excess
    assert has_room(usage, limits) is room


def test_a_refusal_is_told_once_and_counted_each_time(outbox: Outbox, keep: Callable[..., Keeper]) -> None:
    commit(outbox, verdict(1))
    keeper = keep(Limits())
    for number, reason in enumerate(("no", "still no")):
        keeper.refused("mqtt", 1, reason, event(number))
    assert [(one.reason, one.attempts) for one in dead_letters(outbox.path)] == [("still no", 2)]
    assert len(ids(outbox, "event")) == 1


def test_a_full_disk_is_waited_for_by_who_delivers_until_the_outbox_is_about_to_close(
    database: Tight, outbox: Outbox, keep: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.database.RETRY_S", 0.01)
    keeper = keep(Limits())
    commit(outbox, verdict(1), verdict(2))
    database.leave(0)
    with ThreadPoolExecutor() as threads:
        waits = threads.submit(keeper.refused, "mqtt", 1, "r" * 100_000, event(1))
        eventually(lambda: outbox.disk_full, "the disk is full")
        assert not waits.done()
        database.leave(1000)
        waits.result(DEADLINE_S)
        assert [one.seq for one in dead_letters(outbox.path)] == [1]
        database.leave(0)
        waits = threads.submit(keeper.refused, "mqtt", 2, "r" * 100_000, event(2))
        eventually(lambda: outbox.disk_full, "the disk is full again")
        outbox.about_to_close()
        assert isinstance(waits.exception(DEADLINE_S), FullError)


def test_a_spool_that_is_full_on_a_full_disk_is_told_once_there_is_room(
    database: Tight, outbox: Outbox, keep: Callable[..., Keeper], disk: Disk
) -> None:
    commit(outbox, verdict(1))
    keeper = keep(Limits(min_free_bytes=MB))
    disk.free = 0
    database.leave(0)
    with pytest.raises(FullError):
        for number in range(1000):  # they fill the last page
            keeper.note(event(number))
    with pytest.raises(FullError):
        keeper.tidy()
    assert keeper.full
    database.leave(1000)
    keeper.tidy()
    keeper.tidy()
    assert [id_ for id_ in ids(outbox, "event") if id_.startswith("note-")] == ["note-1"], "told once"
