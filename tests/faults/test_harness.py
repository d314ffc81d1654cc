"""The harness can see what it looks for: losses, repetitions, disorder, and what a disk forgets."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Sequence

import pytest

from agent.contract.row import Row
from tests.brokers import HOST, Received
from tests.faults.disk import SECTOR_BYTES, Disk, Record
from tests.faults.ledger import Balance, settle
from tests.faults.proxy import FaultProxy
from tests.faults.rows import Recipe

ROWS = Recipe().appends(10)  # 10 verdicts, 2 crops, 1 event


def balance(rows: Sequence[Row], passed: Sequence[str] = ()) -> Balance:
    """As if these rows had been received."""
    received = [
        Received(topic=row.topic, payload=row.payload, retained=False, content_type=None, properties=())
        for row in rows
    ]
    return settle("none", ROWS, received, passed=passed, waiting=0, peak_rss_mb=None)


def test_the_ledger_sees_what_is_missing_repeated_and_out_of_order() -> None:
    assert balance(ROWS).is_even and balance([*ROWS, ROWS[0]]).is_even
    assert balance([*ROWS, ROWS[0]]).duplicates == 1
    without_third = [row for row in ROWS if row.sequence != 3]
    assert (balance(without_third).missing, balance(without_third).gaps) == (1, 1)
    assert balance(without_third).order_kept and not balance(without_third).is_even
    swapped = [ROWS[1], ROWS[0], *ROWS[2:]]
    assert not balance(swapped).order_kept
    assert balance(swapped, passed=[ROWS[0].id]).is_even
    assert balance([*ROWS, *Recipe().append(11)]).unexpected == 1


def test_verdicts_may_pass_crops_but_not_each_other() -> None:
    verdicts_first = sorted(ROWS, key=lambda row: row.kind != "verdict")
    assert verdicts_first != ROWS and balance(verdicts_first).is_even


def write(offset: int, data: bytes) -> Record:
    return Record(kind="w", name="file", offset=offset, data=data)


def call(kind: str, name: str = "file") -> Record:
    return Record(kind=kind, name=name, offset=0, data=b"")


def test_a_cut_keeps_what_was_synced_under_a_name_that_was_synced() -> None:
    disk = Disk()
    for record in (call("c"), write(0, b"old"), call("s")):
        disk.take(record)
    assert disk.after_cut(None) == {}
    disk.take(call("s", ""))
    disk.take(write(0, b"new"))
    assert disk.after_cut(None) == {"file": b"old"}
    disk.take(call("u"))
    assert disk.after_cut(None) == {"file": b"old"}


def test_a_cut_keeps_drops_or_tears_what_was_not_synced() -> None:
    disk = Disk()
    for record in (call("c"), call("s", ""), write(0, b"x" * 3 * SECTOR_BYTES)):
        disk.take(record)
    sizes = {len(disk.after_cut(random.Random(seed)).get("file", b"")) for seed in range(100)}
    assert sizes == {0, SECTOR_BYTES, 2 * SECTOR_BYTES, 3 * SECTOR_BYTES}


def test_a_mapping_that_the_journal_cannot_follow_is_an_error() -> None:
    Disk().take(call("m", "outbox.sqlite3-shm"))
    with pytest.raises(ValueError, match="cannot follow"):
        Disk().take(call("m", "outbox.sqlite3"))


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(60)
        yield server


def test_the_proxy_holds_back_resets_and_refuses(upstream: socket.socket) -> None:
    proxy = FaultProxy(upstream.getsockname()[1])
    proxy.start()
    with socket.create_connection((HOST, proxy.port), timeout=60) as near, upstream.accept()[0] as far:
        far.settimeout(0.2)
        near.sendall(b"passes")
        assert far.recv(100) == b"passes"
        proxy.blackhole()
        near.sendall(b"waits")
        with pytest.raises(TimeoutError):
            far.recv(100)
        proxy.heal()
        far.settimeout(60)
        assert far.recv(100) == b"waits"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            near.recv(100)
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), timeout=60)
    proxy.stop()
