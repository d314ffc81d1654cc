"""What an append reports as committed is on disk, in order, whole, and survives a restart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock, SystemClock
from agent.outbox.database import Database
from agent.outbox.file import OutboxError, read_depth
from agent.outbox.outbox import Outbox
from tests.agent.outbox.rows import crop, event, verdict
from tests.brokers import DEADLINE_S, eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    outbox = Outbox(Database(path, clock=SystemClock()))
    outbox.open()
    yield outbox
    outbox.close()


def committed_ids(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return [row[0] for row in database.execute("SELECT id FROM record ORDER BY seq")]
    finally:
        database.close()


class Brake:
    """Holds the writer inside an on_committed until released."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._released = threading.Event()

    def hold(self) -> None:
        self.reached.set()
        assert self._released.wait(DEADLINE_S)

    def release(self) -> None:
        self._released.set()


def test_a_row_comes_back_as_it_went_in(outbox: Outbox) -> None:
    rows = (verdict(1), event(1), crop(1))
    outbox.append(rows).result(DEADLINE_S)
    assert tuple(waiting.row for waiting in outbox.lease(10)) == rows


def test_on_committed_is_called_when_the_rows_are_on_disk(outbox: Outbox, path: Path) -> None:
    seen: list[str] = []
    outbox.append([verdict(1), crop(1)], lambda: seen.extend(committed_ids(path))).result(DEADLINE_S)
    assert seen == ["verdict-1", "crop-1"]


def test_appends_that_wait_together_are_committed_together(outbox: Outbox) -> None:
    brake = Brake()
    outbox.append([verdict(1)], brake.hold)
    assert brake.reached.wait(DEADLINE_S)
    depths: list[int] = []

    def look() -> None:
        depths.append(outbox.depth().rows)

    appends = [outbox.append([verdict(number)], look) for number in range(2, 66)]
    brake.release()
    for append in appends:
        append.result(DEADLINE_S)
    assert depths[0] == 65


def test_an_append_blocks_while_256_wait(outbox: Outbox) -> None:
    brake = Brake()
    outbox.append([event(0)], brake.hold)
    assert brake.reached.wait(DEADLINE_S)
    accepted: list[int] = []

    def append_many() -> None:
        for number in range(1, 301):
            outbox.append([event(number)])
            accepted.append(number)

    appender = threading.Thread(target=append_many, daemon=True)
    appender.start()
    eventually(lambda: len(accepted) == 256, "256 appends were accepted")
    assert appender.is_alive()
    brake.release()
    appender.join(DEADLINE_S)
    assert len(accepted) == 300


def test_close_commits_what_is_queued(outbox: Outbox, path: Path) -> None:
    appends = [outbox.append([verdict(number)]) for number in range(1, 101)]
    outbox.close()
    assert all(append.done() for append in appends)
    assert committed_ids(path) == [f"verdict-{number}" for number in range(1, 101)]
    with pytest.raises(OutboxError, match="closed"):
        outbox.append([verdict(101)])


def test_the_last_sequence_survives_delivery_and_restart(outbox: Outbox, path: Path) -> None:
    outbox.append([verdict(1), verdict(2), event(1)]).result(DEADLINE_S)
    outbox.delivered([waiting.seq for waiting in outbox.lease(10)])
    assert outbox.depth().rows == 0
    outbox.close()
    again = Outbox(Database(path, clock=SystemClock()))
    again.open()
    try:
        assert again.last_sequence() == 2
        again.append([verdict(3)]).result(DEADLINE_S)
        assert again.last_sequence() == 3
    finally:
        again.close()


def test_a_sequence_that_leaves_a_gap_is_refused_and_nothing_of_it_stored(outbox: Outbox, path: Path) -> None:
    outbox.append([verdict(1)]).result(DEADLINE_S)
    for wrong in (1, 3):
        with pytest.raises(ValueError, match="where 2 comes next"):
            outbox.append([event(1), verdict(wrong)])
    outbox.append([verdict(2)]).result(DEADLINE_S)
    assert committed_ids(path) == ["verdict-1", "verdict-2"]


def test_after_a_failed_commit_every_append_fails(outbox: Outbox, path: Path) -> None:
    outbox.append([event(1)]).result(DEADLINE_S)
    failing = outbox.append([verdict(1), event(1)])  # an id that is there already
    with pytest.raises(OutboxError, match=r"outbox\.sqlite3.*UNIQUE"):
        failing.result(DEADLINE_S)
    with pytest.raises(OutboxError):
        outbox.append([verdict(2)]).result(DEADLINE_S)
    assert outbox.failure is not None
    assert committed_ids(path) == ["event-1"]


def test_a_raising_on_committed_keeps_its_row_and_fails_the_outbox(outbox: Outbox, path: Path) -> None:
    def raise_() -> None:
        raise RuntimeError("no lamp")

    outbox.append([verdict(1)], raise_).result(DEADLINE_S)
    eventually(lambda: outbox.failure is not None, "the failure is visible")
    assert "no lamp" in str(outbox.failure)
    assert committed_ids(path) == ["verdict-1"]


def test_verdicts_are_leased_before_events_before_crops_each_in_order(outbox: Outbox) -> None:
    outbox.append([crop(1), event(1), verdict(1), crop(2), verdict(2), event(2)]).result(DEADLINE_S)
    everything = outbox.lease(10)
    ids = [waiting.row.id for waiting in everything]
    assert ids == ["verdict-1", "verdict-2", "event-1", "event-2", "crop-1", "crop-2"]
    some = outbox.lease(2, kinds=["event", "crop"], exclude=[everything[2].seq])
    assert [waiting.row.id for waiting in some] == ["event-2", "crop-1"]


def test_depth_counts_rows_bytes_kinds_and_age_without_the_writer(path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(Database(path, clock=clock))
    outbox.open()
    try:
        assert (outbox.depth().rows, outbox.depth().oldest_s) == (0, 0.0)
        outbox.append([verdict(1), crop(1, 5000)]).result(DEADLINE_S)
        clock.advance(3.0)
        outbox.append([crop(2, 7000)]).result(DEADLINE_S)
        depth = read_depth(path, clock=clock)
        assert depth.rows == 3
        assert depth.bytes == 12_000 + len(verdict(1).payload)
        assert depth.oldest_s == pytest.approx(3.0)
        assert depth.kinds == {"verdict": 1, "event": 0, "crop": 2}
    finally:
        outbox.close()
    assert read_depth(path, clock=clock).rows == 3


def test_who_waits_for_the_last_commit_does_not_wait_for_room(path: Path) -> None:
    database = Database(path, clock=SystemClock())
    outbox = Outbox(database)
    outbox.open()
    try:
        outbox.append([verdict(1)])
        assert outbox.settle(DEADLINE_S) and outbox.rests and outbox.settled == 1
        database.hold()
        later = outbox.append([verdict(2)])
        assert not outbox.settle(DEADLINE_S) and outbox.rests
        database.release()
        later.result(DEADLINE_S)
        assert outbox.settle(DEADLINE_S)
    finally:
        outbox.close()


def test_who_waits_for_the_last_commit_waits_so_long(outbox: Outbox) -> None:
    brake = Brake()
    outbox.append([verdict(1)], brake.hold)
    assert brake.reached.wait(DEADLINE_S)
    try:
        assert not outbox.settle(0.05) and not outbox.rests
    finally:
        brake.release()
    assert outbox.settle(DEADLINE_S)
