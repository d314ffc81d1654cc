"""The chain in the outbox's file: where it ends, and what is kept of rows that have left.

It runs over the file's own numbers, `record.seq`, in the order of commits: every row takes its place in the
transaction that adds it, and the table `chain` has the last link. A row that leaves before older ones do
leaves its digest in `gone`, so that the links over it can be made anew; `chain.first` says from which
number on every one is in `record` or in `gone`. Rows from before a salvage belong to another segment, and
some of them may be lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.contract.chain import link
from agent.outbox.seal import CROP, Sealed, content_digest, digest, named_sha256

ROWS_AT_ONCE = 500
_NO_ROW = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The end of the chain."""

    segment: bytes
    number: int  # of the last row; the segment's own begin behind it where `is_new`
    link: bytes
    first: int

    @property
    def is_new(self) -> bool:
        """Whether the segment has no row yet."""
        return not any(self.link)


def tip(database: sqlite3.Connection) -> Tip:
    segment, number, last, first = database.execute(
        "SELECT segment, number, link, first FROM chain"
    ).fetchone()
    return Tip(segment=segment, number=number, link=last, first=first)


def place(database: sqlite3.Connection, rows: Sequence[Sealed]) -> list[tuple[int, bytes, bytes]]:
    """Number, place and digest of rows that the caller inserts in the same transaction."""
    segment, number, last = database.execute("SELECT segment, number, link FROM chain").fetchone()
    found = []
    for row in rows:
        head, content = row[-2:]
        number += 1
        at = segment + last
        last = link(at, number, content)
        found.append((number, at, digest(at, content, head)))
    database.execute("UPDATE chain SET number = ?, link = ?", (number, last))
    return found


def begin_anew(database: sqlite3.Connection) -> None:
    """Begin another segment behind the last row; in the caller's transaction."""
    database.execute("UPDATE chain SET segment = randomblob(8), link = zeroblob(32), first = number + 1")


def leave(database: sqlite3.Connection, seqs: Iterable[int]) -> None:
    """Keep what the chain needs of rows that the caller deletes in the same transaction."""
    rest = list(seqs)
    while rest:
        some, rest = rest[:ROWS_AT_ONCE], rest[ROWS_AT_ONCE:]
        rows = database.execute(
            f"""SELECT seq, class, sequence, chain, properties FROM record
            WHERE seq IN ({",".join("?" * len(some))}) AND chain <> x''""",
            some,
        ).fetchall()
        database.executemany(
            "INSERT OR REPLACE INTO gone (seq, class, sequence, chain, digest) VALUES (?, ?, ?, ?, ?)",
            [
                (seq, number, sequence, at, _content(database, seq, number, properties))
                for seq, number, sequence, at, properties in rows
            ],
        )


def forget(database: sqlite3.Connection) -> None:
    """Let go of what is older than every row that is left; in the caller's transaction."""
    (oldest,) = database.execute("SELECT COALESCE(MIN(seq), ?) FROM record", (_NO_ROW,)).fetchone()
    database.execute("DELETE FROM gone WHERE seq < ?", (oldest,))
    database.execute(
        "UPDATE chain SET first = MIN(?1, number + 1) WHERE first < MIN(?1, number + 1)", (oldest,)
    )


def _content(database: sqlite3.Connection, seq: int, number: int, properties: str) -> bytes:
    if number == CROP and named_sha256(number, properties) is not None:
        return content_digest(number, properties, b"")
    (payload,) = database.execute("SELECT payload FROM record WHERE seq = ?", (seq,)).fetchone()
    return content_digest(number, properties, payload)
