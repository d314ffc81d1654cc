"""The outbox on disk: its tables, how the file is opened, what its errors mean, how full it is.

`tally` follows `outbox` by triggers, so that the depth costs the same with a million rows
waiting as with none, in this process and in any other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agent.clock import Clock
from agent.errors import PlumblineError

Kind: TypeAlias = Literal["verdict", "event", "crop"]
KINDS: tuple[Kind, ...] = ("verdict", "event", "crop")  # priority; the index is the column `class`

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 10.0
WAL_KEPT_BYTES = 64 * 1024 * 1024

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    class INTEGER NOT NULL,
    topic TEXT NOT NULL,
    properties TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    sequence INTEGER,
    payload BLOB NOT NULL
);
CREATE INDEX outbox_order ON outbox (class, seq);
CREATE TABLE tally (class INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO tally VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0);
CREATE TRIGGER row_in AFTER INSERT ON outbox BEGIN
    UPDATE tally SET rows = rows + 1, bytes = bytes + NEW.size WHERE class = NEW.class;
END;
CREATE TRIGGER row_out AFTER DELETE ON outbox BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - OLD.size WHERE class = OLD.class;
END;
CREATE TABLE progress (last_sequence INTEGER NOT NULL);
INSERT INTO progress VALUES (0);
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

# SQLite's words to ours: Python 3.10 does not expose the error codes.
_CAUSES: dict[str, str] = {
    "file is not a database": "not a SQLite database; move it away or set outbox.path to another file",
    "database disk image is malformed": "damaged; keep a copy for sqlite3 .recover and move it away",
    "unable to open database file": "cannot be opened; the folder must exist and the agent's user own it",
    "readonly database": "cannot be written; give the agent's user write permission to file and folder",
    "database or disk is full": "the disk is full; free space on the disk that holds it",
    "disk I/O error": "the disk does not take it; check free space, quota and the kernel log",
    "database is locked": f"another program held it for {BUSY_TIMEOUT_S:.0f} s; stop that program",
}


class OutboxError(PlumblineError):
    """The outbox cannot do its work; the text names the file, the cause and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What waits for delivery."""

    rows: int
    bytes: int
    oldest_s: float  # age of the oldest row; 0 when nothing waits
    kinds: Mapping[Kind, int]  # rows of each kind


def create_or_check(path: Path) -> None:
    """Make `path` an outbox, or see that it is one. Raises OutboxError."""
    with _explained(path):
        database = connect(path, synchronous="FULL")
        try:
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            tables = int(database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise OutboxError(
                    f"{path}: schema version {version} was written by a newer agent, this one knows "
                    f"{SCHEMA_VERSION}; install that version again or set outbox.path to another file"
                )
            if version == 0 and tables:
                raise OutboxError(
                    f"{path}: it is another program's database; set outbox.path to another file"
                )
            database.execute("PRAGMA journal_mode = WAL")
            if version == 0:
                database.executescript(_SCHEMA)
        finally:
            database.close()


def connect(path: Path, *, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
    """A connection in autocommit mode. The caller sees to it that one thread uses it at a time."""
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Everything in the block, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def read_depth(path: Path, *, clock: Clock) -> Depth:
    """How full the outbox at `path` is, read-only, from any thread or process. Raises OutboxError."""
    with _explained(path):
        database = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
        try:
            database.execute("BEGIN")  # one moment for both answers
            tally = database.execute("SELECT class, rows, bytes FROM tally ORDER BY class").fetchall()
            oldest = database.execute("SELECT created_ns FROM outbox ORDER BY seq LIMIT 1").fetchone()
        finally:
            database.close()
    age_s = 0.0 if oldest is None else clock.utc_now().timestamp() - oldest[0] / 1e9
    return Depth(
        rows=sum(rows for _, rows, _ in tally),
        bytes=sum(size for _, _, size in tally),
        oldest_s=max(age_s, 0.0),
        kinds={KINDS[number]: rows for number, rows, _ in tally},
    )


def explained(path: Path, error: Exception) -> OutboxError:
    """The same error in the words of the person who has to mend it."""
    cause = next((ours for theirs, ours in _CAUSES.items() if theirs in str(error)), None)
    return OutboxError(f"{path}: {cause or 'unexpected error, see the text in brackets'} ({error})")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explained(path, error) from error
