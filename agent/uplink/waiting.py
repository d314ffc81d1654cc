"""What waits for the broker, as verbs on a database connection; the caller holds the turn to write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from agent.uplink.outbox_file import KINDS, REPLAY_CLASS, UNCONFIRMED_CLASS, Kind
from agent.uplink.row import Row, Waiting

BROKER = "mqtt"  # the broker's place among those that refuse

# What every gateway has come past; without gateways that is everything.
PASSED_BY_ALL = "(SELECT COALESCE(MIN(seq), 9223372036854775807) FROM cursor)"

RECORD_COLUMNS = "id, class, topic, properties, content_type, sequence, payload, evict"
_INSERT_RECORD = """INSERT INTO record
(id, class, topic, properties, content_type, size, created_ns, sequence, payload, evict)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_INSERT_WAITING = "INSERT INTO waiting (seq, class, size) VALUES (?, ?, ?)"
_LEASE = """SELECT waiting.seq, {columns} FROM waiting CROSS JOIN record ON record.seq = waiting.seq
WHERE waiting.class = ? AND waiting.seq NOT IN ({marks}) ORDER BY waiting.seq LIMIT ?"""


def insert(database: sqlite3.Connection, rows: Sequence[Row], created_ns: int) -> None:
    """Add rows to the log and to what waits."""
    for row in rows:
        number = KINDS.index(row.kind)
        values = (
            row.id,
            number,
            row.topic,
            json.dumps(row.properties, separators=(",", ":")),
            row.content_type,
            len(row.payload),
            created_ns,
            row.sequence,
            row.payload,
            0 if row.of_pass else 1,
        )
        seq = database.execute(_INSERT_RECORD, values).lastrowid
        database.execute(_INSERT_WAITING, (seq, number, len(row.payload)))


def lease(
    database: sqlite3.Connection,
    limit: int,
    *,
    kinds: Collection[Kind],
    replays: int,
    exclude: Collection[int],
) -> tuple[Waiting, ...]:
    """The next rows: verdicts, events, crops, at last up to `replays` replays; each kind in its order."""
    found: list[Waiting] = []
    query = _LEASE.format(columns=_qualified(), marks=marks(exclude))
    for number, kind in enumerate(KINDS):
        if kind in kinds and len(found) < limit:
            rows = database.execute(query, (number, *exclude, limit - len(found)))
            found += [Waiting(seq=seq, row=as_row(columns)) for seq, *columns in rows]
    room = min(limit - len(found), replays)
    if room > 0:
        rows = database.execute(query, (REPLAY_CLASS, *exclude, room))
        found += [Waiting(seq=seq, row=said_again(as_row(columns)), replayed=True) for seq, *columns in rows]
    return tuple(found)


def delivered(database: sqlite3.Connection, seqs: Collection[int]) -> None:
    """From what waits to the history; a crop leaves the log unless a gateway has still to come to it."""
    some, among = tuple(seqs), f"seq IN ({marks(seqs)})"
    database.execute(f"DELETE FROM waiting WHERE {among}", some)
    database.execute(f"DELETE FROM dead_letter WHERE place = '{BROKER}' AND {among}", some)
    database.execute(f"DELETE FROM record WHERE {among} AND class = 2 AND seq <= {PASSED_BY_ALL}", some)
    database.execute(f"INSERT OR IGNORE INTO history SELECT seq FROM record WHERE {among}", some)


def await_confirmation(database: sqlite3.Connection, seqs: Collection[int], round_: int) -> None:
    """The broker has these verdicts, and their turn comes again unless the MES confirms them."""
    database.executemany(
        f"UPDATE waiting SET class = {UNCONFIRMED_CLASS}, round = ? WHERE seq = ?",
        [(round_, seq) for seq in seqs],
    )


def resend(database: sqlite3.Connection, before_round: int | None = None) -> int:
    """Queue again what was published in an earlier round and not confirmed (all, for None); how many."""
    limit = 2**62 if before_round is None else before_round
    return database.execute(
        f"UPDATE waiting SET class = 0 WHERE class = {UNCONFIRMED_CLASS} AND round < ?", (limit,)
    ).rowcount


def confirm(database: sqlite3.Connection, result_ids: Collection[str]) -> int:
    """Take verdicts off what waits, because the MES has them; how many did wait."""
    ids = tuple(result_ids)
    found = database.execute(
        f"""SELECT waiting.seq FROM record JOIN waiting ON waiting.seq = record.seq
        WHERE record.id IN ({marks(ids)}) AND waiting.class IN (0, {UNCONFIRMED_CLASS})""",
        ids,
    ).fetchall()
    delivered(database, [seq for (seq,) in found])
    return len(found)


def replay(database: sqlite3.Connection, from_sequence: int, to_sequence: int) -> int:
    """Queue delivered verdicts of the history once more; how many."""
    return database.execute(
        f"""INSERT OR IGNORE INTO waiting (seq, class, size)
        SELECT record.seq, {REPLAY_CLASS}, size FROM record JOIN history ON history.seq = record.seq
        WHERE sequence BETWEEN ? AND ?""",
        (from_sequence, to_sequence),
    ).rowcount


def note_refusal(database: sqlite3.Connection, place: str, seq: int, reason: str, now_ns: int) -> bool:
    """Keep a record of who did not take a row and why; True when it is the first for this row."""
    attempts = database.execute(
        """INSERT INTO dead_letter (place, seq, reason, attempts, first_ns, last_ns) VALUES (?, ?, ?, 1, ?, ?)
        ON CONFLICT (place, seq) DO UPDATE SET reason = excluded.reason, last_ns = excluded.last_ns,
        attempts = attempts + 1 RETURNING attempts""",
        (place, seq, reason, now_ns, now_ns),
    ).fetchone()[0]
    return int(attempts) == 1


def said_again(row: Row) -> Row:
    """A delivered verdict, flagged as replayed in its payload and in its properties."""
    message = {**json.loads(row.payload), "replayed": True}
    return replace(
        row,
        payload=json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(),
        properties=(*row.properties, ("replayed", "true")),
    )


def as_row(columns: Sequence[Any]) -> Row:
    """From RECORD_COLUMNS."""
    id_, number, topic, properties, content_type, sequence, payload, evict = columns
    return Row(
        id=id_,
        kind=KINDS[number],
        topic=topic,
        payload=payload,
        content_type=content_type,
        properties=tuple((name, value) for name, value in json.loads(properties)),
        sequence=sequence,
        of_pass=number == 2 and evict == 0,
    )


def marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))


def _qualified() -> str:
    return ", ".join(f"record.{name}" for name in RECORD_COLUMNS.split(", "))
