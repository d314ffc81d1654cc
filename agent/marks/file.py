"""Marks on disk: one SQLite file beside the outbox, whole after a crash at any step. Calls wait for the disk.

A mark is committed with the next number before anybody hears of it. What has still to follow from it, that
the archive holds its picture and that the outbox has it, stands in its row until it is done. A row that is
not what was written is passed over and counted: its digest tells, and its columns have to say the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from agent.contract.mark import Mark
from agent.contract.payloads import encode
from agent.errors import PlumblineError
from agent.foreign import shown

VERSION = 1
APPLICATION = 0x504C4D4B  # PLMK, in the file's head: whose database it is
BUSY_TIMEOUT_S = 10.0
MAXIMUM = 1_000_000  # marks; some 1.2 GB
LOG_BYTES = 4 << 20
LATELY = 500  # marks, whose labels are at hand

Due: TypeAlias = Literal["told", "held"]  # the outbox has it; the archive knows of it

_SAID = ("sequence", "result_id", "says", "truth", "label", "camera", "recipe_id")  # columns and members
_COLUMNS = ", ".join(("payload", "digest", *_SAID))

_CREATE = f"""
BEGIN IMMEDIATE;
CREATE TABLE mark (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    result_id TEXT NOT NULL,
    newest INTEGER NOT NULL,
    says TEXT NOT NULL,
    truth TEXT,
    label TEXT,
    camera TEXT NOT NULL,
    recipe_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    digest BLOB NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX of_result ON mark (result_id, sequence);
CREATE INDEX newest ON mark (sequence) WHERE newest = 1;
CREATE INDEX to_tell ON mark (sequence) WHERE told = 0;
CREATE INDEX to_hold ON mark (sequence) WHERE held = 0;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""


class MarksError(PlumblineError):
    """Marks cannot be read or written; names the file, the cause and the remedy."""


class NoRoomForMarksError(MarksError):
    """The disk takes no more, or there are as many as may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which marks; everything that is given must hold. Newest first."""

    camera: str | None = None
    recipe_id: str | None = None
    truth: Literal["good", "defective"] | None = None
    label: str | None = None
    results: Sequence[str] | None = None  # of these results alone
    history: bool = False  # also those that a later one, or one that takes back, has made void
    limit: int = MAXIMUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Marks, and how many rows in the file are not what was written."""

    marks: tuple[Mark, ...]
    damaged: int


class MarkFile:
    """Safe from any thread; opened, and made where there is none, with the first call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._closed = False

    def close(self) -> None:
        """For good. Raises MarksError."""
        with self._lock, explained(self.path):
            self._closed = True
            database, self._database = self._database, None
            if database is not None:
                database.close()

    def add(self, mark: Mark) -> Mark:
        """The same with its number, durable on return. Raises MarksError; then nothing was taken."""
        with self._turn() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                numbered = _insert(database, mark)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        return numbered

    def last_of(self, result_id: str) -> Mark | None:
        """The newest of a result, one that takes back, too. Raises MarksError."""
        with self._turn() as database:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM mark WHERE result_id = ? ORDER BY sequence DESC LIMIT 1",
                (result_id,),
            ).fetchone()
        return None if row is None else _read(row)

    def find(self, wanted: Wanted) -> Found:
        """Raises MarksError."""
        with self._turn() as database:
            return found_in(database, wanted)

    def labels(self, limit: int) -> list[str]:
        """Those used last, of the last LATELY marks that hold, in the order in which these were first used.

        So the digit of a label on the page stays while people use it. Raises MarksError.
        """
        with self._turn() as database:
            rows = database.execute(
                "SELECT label FROM (SELECT label, MIN(sequence) AS first, MAX(sequence) AS last FROM"
                " (SELECT label, sequence FROM mark WHERE newest = 1 ORDER BY sequence DESC LIMIT ?)"
                " WHERE label IS NOT NULL GROUP BY label ORDER BY last DESC LIMIT ?) ORDER BY first",
                (LATELY, limit),
            ).fetchall()
        return [str(label) for (label,) in rows]

    def count(self) -> int:
        """Of all, history too. Raises MarksError."""
        with self._turn() as database:
            return int(database.execute("SELECT COALESCE(MAX(sequence), 0) FROM mark").fetchone()[0])

    def due(self, what: Due, *, after: int, limit: int) -> list[Mark]:
        """Marks beyond a number of which that has still to be done, oldest first. Raises MarksError."""
        with self._turn() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM mark WHERE {what} = 0 AND sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return [mark for row in rows if (mark := _read(row)) is not None]

    def done(self, what: Due, sequences: Sequence[int]) -> None:
        """Of these it is done; a crash may forget it. Raises MarksError."""
        with self._turn() as database:
            database.executemany(
                f"UPDATE mark SET {what} = 1 WHERE sequence = ?", [(one,) for one in sequences]
            )

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        with self._lock, explained(self.path):
            if self._closed:
                raise MarksError(f"{shown(str(self.path))}: the agent ends; mark it once it runs again")
            if self._database is None:
                self._database = _opened(self.path)
            yield self._database


def found_in(database: sqlite3.Connection, wanted: Wanted) -> Found:
    """Newest first."""
    conditions, values = _conditions(wanted)
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM mark WHERE {conditions} ORDER BY sequence DESC LIMIT ?",
        (*values, wanted.limit),
    ).fetchall()
    read = [_read(row) for row in rows]
    marks = tuple(one for one in read if one is not None)
    return Found(marks=marks, damaged=len(read) - len(marks))


def _conditions(wanted: Wanted) -> tuple[str, list[str]]:
    conditions, values = ["1" if wanted.history else "newest = 1 AND says <> 'taken_back'"], list[str]()
    for name in ("camera", "recipe_id", "truth", "label"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    if wanted.results is not None:
        conditions.append(f"result_id IN ({','.join('?' * len(wanted.results))})")
        values += wanted.results
    return " AND ".join(conditions), values


def _insert(database: sqlite3.Connection, mark: Mark) -> Mark:
    (last,) = database.execute("SELECT COALESCE(MAX(sequence), 0) FROM mark").fetchone()
    if last >= MAXIMUM:
        raise NoRoomForMarksError(
            f"there are {MAXIMUM} marks, and no more are taken; export them, stop the agent and move the file"
            " away"
        )
    numbered = mark.model_copy(update={"sequence": int(last) + 1})
    payload = encode(numbered)
    database.execute("UPDATE mark SET newest = 0 WHERE result_id = ? AND newest = 1", (mark.result_id,))
    database.execute(
        "INSERT INTO mark (sequence, id, result_id, newest, says, truth, label, camera, recipe_id, payload,"
        " digest) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(numbered.sequence, mark.mark_id, mark.result_id, mark.says, mark.truth, mark.label),
            *(mark.camera, mark.recipe_id, payload, hashlib.sha256(payload).digest()),
        ),
    )
    return numbered


def _read(row: Sequence[Any]) -> Mark | None:
    """None where it is not what was written, or its columns, which find it, do not say what it says."""
    payload, digest, *columns = row
    if not isinstance(payload, bytes) or hashlib.sha256(payload).digest() != digest:
        return None
    try:
        mark = Mark.model_validate_json(payload)
    except ValidationError:
        return None
    return mark if [getattr(mark, name) for name in _SAID] == columns else None


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        tables = int(database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0])
        if tables:
            check_own(database, path, version)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        database.execute("PRAGMA temp_store = MEMORY")
        if not tables:
            database.executescript(_CREATE)
    except BaseException:
        database.close()
        raise
    return database


def check_own(database: sqlite3.Connection, path: Path, version: int) -> None:
    """Raises MarksError for another program's file, or one of another version."""
    if int(database.execute("PRAGMA application_id").fetchone()[0]) != APPLICATION:
        raise MarksError(f"{shown(str(path))}: it is another program's database; move it away")
    if version != VERSION:
        raise MarksError(
            f"{shown(str(path))}: version {version} of marks, this agent knows {VERSION}; install the one"
            " that wrote it"
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What SQLite and the system say, as MarksError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        where = f"{shown(str(path))}: {error}"
        if "is full" in str(error):
            raise NoRoomForMarksError(f"{where}; free space on that disk") from error
        raise MarksError(f"{where}; check that disk, and restore or move the file away") from error
