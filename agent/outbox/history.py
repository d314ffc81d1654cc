"""What was delivered, read and asked for again beside a running agent, from any process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.contract.payloads import told
from agent.contract.row import Waiting
from agent.outbox import file as outbox_file
from agent.outbox import waiting
from agent.outbox.file import explained, transaction
from agent.outbox.seal import RECORD_COLUMNS, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A row that somebody did not take."""

    place: str  # mqtt, or a gateway's name
    seq: int
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which verdicts can be replayed: how many, and the first and last sequence among them."""

    verdicts: int
    first: int | None
    last: int | None


def span(path: Path) -> Span:
    """Raises OutboxError, as all of these do."""
    with _reading(path) as database:
        verdicts, first, last = database.execute(
            f"""SELECT COUNT(*), MIN(sequence), MAX(sequence) FROM record JOIN history USING (seq)
            WHERE sequence IS NOT NULL AND seq NOT IN {waiting.CHANGED}"""
        ).fetchone()
    return Span(verdicts=verdicts, first=first, last=last)


def dead_letters(path: Path) -> tuple[DeadLetter, ...]:
    with _reading(path) as database:
        rows = database.execute(
            "SELECT place, seq, reason, attempts FROM dead_letter ORDER BY place, seq"
        ).fetchall()
    return tuple(
        DeadLetter(place=place, seq=seq, reason=reason, attempts=attempts)
        for place, seq, reason, attempts in rows
    )


def delivered_verdicts(path: Path, from_sequence: int, to_sequence: int) -> Iterator[bytes]:
    """The payloads of delivered verdicts, by sequence, but of those that were changed in the file."""
    with _reading(path) as database:
        for seq, *columns in database.execute(
            f"""SELECT seq, {RECORD_COLUMNS} FROM record JOIN history USING (seq)
            WHERE sequence BETWEEN ? AND ? ORDER BY sequence""",
            (from_sequence, to_sequence),
        ):
            found = opened(database, seq, columns)
            if isinstance(found, Waiting):
                yield told(found).payload


def ask_again(path: Path, from_sequence: int, to_sequence: int) -> int:
    """Queue delivered verdicts once more; the agent takes them up within two seconds. How many."""
    try:
        with closing(outbox_file.connect(path, synchronous="NORMAL")) as database:
            outbox_file.check_version(database, path)
            with transaction(database):
                return waiting.replay(database, from_sequence, to_sequence)
    except sqlite3.Error as error:
        raise explained(path, error) from error


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with outbox_file.reading(path) as database:
        outbox_file.check_version(database, path)
        yield database
