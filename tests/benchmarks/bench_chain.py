"""What the chain costs of the outbox's throughput: `python -m tests.benchmarks.bench_chain [--rows N]`.

The same rows by turns, chained and by a twin that writes them as schema version 4 did, in one run: appended
and committed; appended, leased, made ready and taken off what waits; and until a mosquitto on this machine
has acknowledged them. The cost is the median over the rounds; of CPU time that of the cheapest rounds, which
others disturb least.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from agent.clock import SystemClock
from agent.contract.payloads import leaving
from agent.contract.row import KINDS, Row
from agent.outbox import chain, outbox, waiting
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.outbox.waiting import Stamp
from agent.schemas import examples
from tests.agent.uplink.stations import mqtt, station
from tests.benchmarks.bench_outbox import CROP_BYTES, CROP_SHA256, cpu_model
from tests.benchmarks.bench_uplink import AHEAD, BROKER
from tests.brokers import Mosquitto, eventually

ROUNDS = 15
LEASED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds of one turn, by the wall and of this process's cores."""

    append_s: float
    append_cpu_s: float
    way_s: float
    way_cpu_s: float
    acknowledged_s: float
    acknowledged_cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args()
    table = Table("rows", "rows/s unchained", "rows/s chained", "cost", "cost of CPU time")
    with ExitStack() as last:
        name = last.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-chain-"))
        broker = Mosquitto(Path(name) / "mosquitto", *BROKER)
        broker.start()
        last.callback(broker.stop)
        for title, rows in (
            ("verdicts", list(verdicts(wanted.rows))),
            ("verdicts, every tenth with a 64 KB crop", list(with_crops(wanted.rows // 2))),
        ):
            plain, chained = rounds(Path(name), rows, wanted.rounds, broker.port)
            for what, one in (
                ("appended", "append"),
                ("taken off", "way"),
                ("acknowledged", "acknowledged"),
            ):
                table.add_row(f"{title}, {what}", *compared(plain, chained, one, len(rows)))
    console = Console(width=110)
    console.print(cpu_model())
    console.print(table)


def rounds(folder: Path, rows: Sequence[Row], count: int, port: int) -> tuple[list[Took], list[Took]]:
    """Turns without and with the chain, each after the other, the order changed from round to round."""
    plain: list[Took] = []
    chained: list[Took] = []
    turn(folder, rows, port)
    for number in range(count):
        for is_plain in (True, False) if number % 2 else (False, True):
            if is_plain:
                with unchained():
                    plain.append(turn(folder, rows, port))
            else:
                chained.append(turn(folder, rows, port))
    return plain, chained


def turn(folder: Path, rows: Sequence[Row], port: int) -> Took:
    """Every row appended and committed, then leased, made ready and delivered; anew by a courier."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        one = Outbox(Database(Path(name) / "outbox.sqlite3", clock=SystemClock()))
        one.open()
        began = time.perf_counter(), time.process_time()
        for row in rows:
            last = one.append([row])
        last.result()
        appended = time.perf_counter(), time.process_time()
        while leased := one.lease(LEASED):
            for row in leased:
                leaving(row)
            one.delivered([row.seq for row in leased])
        ended = time.perf_counter(), time.process_time()
        one.close()
        wall_s, cpu_s = acknowledged(Path(name) / "second.sqlite3", rows, port)
    return Took(
        append_s=appended[0] - began[0],
        append_cpu_s=appended[1] - began[1],
        way_s=ended[0] - began[0],
        way_cpu_s=ended[1] - began[1],
        acknowledged_s=wall_s,
        acknowledged_cpu_s=cpu_s,
    )


def acknowledged(path: Path, rows: Sequence[Row], port: int) -> tuple[float, float]:
    """Until the broker has them all, while some hundred at most are under way."""
    one = station(path, mqtt(port))
    one.start()
    eventually(lambda: one.link.state.connected, "it is connected")
    began = time.perf_counter(), time.process_time()
    for number, row in enumerate(rows):
        while number - one.courier.state.deliveries >= AHEAD:
            time.sleep(0.001)
        one.outbox.append([row])
    one.deliver_all()
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    one.stop()
    return took


def compared(plain: Sequence[Took], chained: Sequence[Took], what: str, rows: int) -> Iterator[str]:
    """Rates, and by how much the throughput is lower with the chain."""
    for found in (plain, chained):
        yield f"{rows / statistics.median(getattr(one, f'{what}_s') for one in found):.0f}"
    pairs = zip(plain, chained, strict=True)
    yield percent(statistics.median(getattr(p, f"{what}_s") / getattr(c, f"{what}_s") for p, c in pairs))
    least = [min(getattr(one, f"{what}_cpu_s") for one in found) for found in (plain, chained)]
    yield percent(least[0] / least[1])


def percent(ratio: float) -> str:
    return f"{100 * (1 - ratio):.1f} %"


@contextmanager
def unchained() -> Iterator[None]:
    """The plain twin: rows as schema version 4 sealed and inserted them."""
    with (
        patch.object(outbox, "seal", seal),
        patch.object(waiting, "insert_sealed", insert_sealed),
        patch.object(chain, "leave", lambda database, seqs: None),
    ):
        yield


def seal(row: Row) -> tuple[Any, ...]:
    properties = _PROPERTIES(row.properties) if row.properties else "[]"
    number, evict = KINDS.index(row.kind), 0 if row.of_pass else 1
    head = (
        f"{len(row.id)} {number} {len(row.topic)} {len(properties)} {len(row.content_type)} {row.sequence}"
        f" {evict} {row.id}{row.topic}{properties}{row.content_type}"
    ).encode()
    named = number == 2 and '["sha256",' in properties
    found = hashlib.sha256(b"sha256 " + head if named else head + row.payload).digest()[:16]
    content = (row.id, number, row.topic, properties, row.content_type, row.sequence, row.payload, evict)
    return (*content, found)


def insert_sealed(database: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], stamp: Stamp) -> None:
    records = []
    counts: dict[int, tuple[int, int]] = {}
    for id_, number, topic, properties, content_type, sequence, payload, evict, digest in rows:
        size = len(payload)
        of_row = (id_, number, topic, properties, content_type, size, stamp.wall_ns)
        records.append((*of_row, sequence, payload, evict, digest, stamp.lived_ns))
        count, total = counts.get(number, (0, 0))
        counts[number] = count + 1, total + size
    database.executemany(_INSERT, records)
    database.execute(_LAST_WAIT, (len(rows),))
    for number, (count, total) in counts.items():
        database.execute(_COUNT, (count, total, number))
    database.execute("UPDATE cursor SET rows = rows + ?", (len(rows),))


_PROPERTIES = json.JSONEncoder(separators=(",", ":")).encode
_INSERT = """INSERT INTO record
(id, class, topic, properties, content_type, size, created_ns, sequence, payload, evict, digest, lived_ns)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_LAST_WAIT = """INSERT INTO waiting (seq, class, size) SELECT seq, class, size FROM record
WHERE seq > (SELECT seq FROM sqlite_sequence WHERE name = 'record') - ?"""
_COUNT = "UPDATE tally SET rows = rows + ?, bytes = bytes + ? WHERE class = ?"


def verdicts(count: int) -> Iterator[Row]:
    row = examples.verdict_message()
    for sequence in range(1, count + 1):
        yield replace(row, id=f"{sequence:036d}", sequence=sequence)


def with_crops(count: int) -> Iterator[Row]:
    crop = replace(
        examples.crop_message(),
        payload=b"c" * CROP_BYTES,
        properties=tuple(
            (name, CROP_SHA256 if name == "sha256" else value)
            for name, value in examples.crop_message().properties
        ),
    )
    for number, row in enumerate(verdicts(count), 1):
        yield row
        if number % 10 == 0:
            yield replace(crop, id=f"crop-{number}")


if __name__ == "__main__":
    main()
