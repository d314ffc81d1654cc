"""What waits for the broker, as verbs on a database connection; the caller holds the turn to write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from agent.contract import chain as of_chain
from agent.contract.row import KINDS, Changed, Row, RowKind, Waiting
from agent.outbox import chain
from agent.outbox.file import BROKER, REPLAY_CLASS, UNCONFIRMED_CLASS
from agent.outbox.seal import RECORD_COLUMNS, Sealed, opened, seal

# What every gateway has come past; without gateways that is everything.
PASSED_BY_ALL = "(SELECT COALESCE(MIN(seq), 9223372036854775807) FROM cursor)"

# The place of the file itself among those that refuse, for rows that were changed in it.
OUTBOX = "outbox"
# Rows that were changed; they are history, so that they go with it.
CHANGED = f"(SELECT seq FROM dead_letter WHERE place = '{OUTBOX}')"

_INSERT_RECORD = """INSERT INTO record
(seq, id, class, topic, properties, content_type, size, created_ns, sequence, payload, evict, digest,
lived_ns, chain)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_LAST_WAIT = "INSERT INTO waiting (seq, class, size) SELECT seq, class, size FROM record WHERE seq >= ?"
_COUNT = "UPDATE tally SET rows = rows + ?, bytes = bytes + ? WHERE class = ?"
_COLUMNS = ", ".join(f"record.{name}" for name in RECORD_COLUMNS.split(", "))
_LEASE = f"""SELECT waiting.seq, {_COLUMNS} FROM waiting CROSS JOIN record ON record.seq = waiting.seq
WHERE waiting.class = ? AND waiting.seq NOT IN ({{marks}}) ORDER BY waiting.seq LIMIT ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When rows were committed: by the wall clock, and in the outbox's own time, by which they age."""

    wall_ns: int
    lived_ns: int


def insert(database: sqlite3.Connection, rows: Sequence[Row], stamp: Stamp) -> None:
    """Add rows to the log and to what waits."""
    insert_sealed(database, [seal(row) for row in rows], stamp)


def insert_sealed(database: sqlite3.Connection, rows: Sequence[Sealed], stamp: Stamp) -> None:
    """The same; chains and counts what it adds, so that no row has to run a trigger."""
    if not rows:
        return
    records = []
    counts: dict[int, tuple[int, int]] = {}
    places = chain.place(database, rows)
    for (seq, place, digest), row in zip(places, rows, strict=True):
        id_, number, topic, properties, content_type, sequence, payload, evict, _, _ = row
        size = len(payload)
        of_row = (seq, id_, number, topic, properties, content_type, size, stamp.wall_ns)
        records.append((*of_row, sequence, payload, evict, digest, stamp.lived_ns, place))
        count, total = counts.get(number, (0, 0))
        counts[number] = count + 1, total + size
    database.executemany(_INSERT_RECORD, records)
    database.execute(_LAST_WAIT, (places[0][0],))
    for number, (count, total) in counts.items():
        database.execute(_COUNT, (count, total, number))
    database.execute("UPDATE cursor SET rows = rows + ?", (len(rows),))


def lease(
    database: sqlite3.Connection,
    limit: int,
    *,
    kinds: Collection[RowKind],
    replays: int,
    exclude: Collection[int],
) -> tuple[Waiting | Changed, ...]:
    """The next rows: verdicts, events, crops, at last up to `replays` replays; each kind in its order."""
    found: list[Waiting | Changed] = []
    query = _LEASE.format(marks=marks(exclude))
    for number, kind in enumerate(KINDS):
        if kind in kinds and len(found) < limit and _waits(database, number):
            rows = database.execute(query, (number, *exclude, limit - len(found)))
            found += [opened(database, seq, columns) for seq, *columns in rows]
    room = min(limit - len(found), replays)
    if room > 0 and _waits(database, REPLAY_CLASS):
        rows = database.execute(query, (REPLAY_CLASS, *exclude, room))
        found += [said_again(opened(database, seq, columns)) for seq, *columns in rows]
    return tuple(found)


def put_aside(
    database: sqlite3.Connection, changed: Changed, reason: str, told: Row | None, stamp: Stamp
) -> None:
    """Take a changed row off what waits and keep it as a dead letter; the first time add the event `told`."""
    if note_refusal(database, OUTBOX, changed.seq, reason, stamp.wall_ns) and told is not None:
        insert(database, [told], stamp)
    # Its sequence, if it is another one now, must not stand in the way of whose it is.
    database.execute("UPDATE record SET sequence = NULL WHERE seq = ?", (changed.seq,))
    database.execute("DELETE FROM waiting WHERE seq = ?", (changed.seq,))
    database.execute("INSERT OR IGNORE INTO history VALUES (?)", (changed.seq,))


def delivered(database: sqlite3.Connection, seqs: Collection[int]) -> None:
    """From what waits to the history; a crop leaves the log unless a gateway has still to come to it."""
    some, among = tuple(seqs), f"seq IN ({marks(seqs)})"
    database.execute(f"DELETE FROM waiting WHERE {among}", some)
    database.execute(f"DELETE FROM dead_letter WHERE place = '{BROKER}' AND {among}", some)
    crops = database.execute(
        f"SELECT seq FROM record WHERE {among} AND class = 2 AND seq <= {PASSED_BY_ALL}", some
    ).fetchall()
    chain.leave(database, [seq for (seq,) in crops])
    database.executemany("DELETE FROM record WHERE seq = ?", crops)
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
        WHERE sequence BETWEEN ? AND ? AND record.seq NOT IN {CHANGED}""",
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


def said_again(found: Waiting | Changed) -> Waiting | Changed:
    """A delivered verdict, flagged as replayed in its payload and in its properties."""
    if isinstance(found, Changed):
        return found
    row = found.row
    payload = of_chain.again(row.payload)
    if payload is None:  # of another version
        message = {**json.loads(row.payload), "replayed": True}
        payload = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    flagged = replace(row, payload=payload, properties=(*row.properties, ("replayed", "true")))
    return replace(found, row=flagged, replayed=True)


def marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))


def _waits(database: sqlite3.Connection, number: int) -> bool:
    """Whether any row of the class does: far cheaper than to make ready the query for its next rows."""
    return database.execute("SELECT 1 FROM waiting WHERE class = ? LIMIT 1", (number,)).fetchone() is not None
