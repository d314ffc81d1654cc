"""The outbox on disk: how the file is opened, locked and mended, what its errors mean, how full it is."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from agent.clock import Clock
from agent.errors import PlumblineError
from agent.uplink.outbox_schema import CREATE, MIGRATIONS, SCHEMA_VERSION

Kind: TypeAlias = Literal["verdict", "event", "crop"]
KINDS: tuple[Kind, ...] = ("verdict", "event", "crop")  # priority; the index is the column `class`
REPLAY_CLASS = 3  # delivered before and waiting to be said again
UNCONFIRMED_CLASS = 4  # with the broker, and the MES has not said that it has it

BUSY_TIMEOUT_S = 10.0
WAL_KEPT_BYTES = 64 * 1024 * 1024

_FULL = "database or disk is full"
_DAMAGE = ("file is not a database", "database disk image is malformed")

# SQLite's words to ours: Python 3.10 does not expose the error codes.
_CAUSES: dict[str, str] = {
    **dict.fromkeys(_DAMAGE, "damaged; restart the agent: it sets the file aside and starts a fresh one"),
    "unable to open database file": "cannot be opened; the folder must exist and the agent's user own it",
    "readonly database": "cannot be written; give the agent's user write permission to file and folder",
    _FULL: "the disk is full; free space on the disk that holds it",
    "disk I/O error": "the disk does not take it; check free space, quota and the kernel log",
    "database is locked": f"another program held it for {BUSY_TIMEOUT_S:.0f} s; stop that program",
}


class OutboxError(PlumblineError):
    """The outbox cannot do its work; the text names the file, the cause and the remedy."""


class DamagedError(OutboxError):
    """The file is no sound database."""


class FullError(OutboxError):
    """The disk takes no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What waits for delivery."""

    rows: int
    bytes: int
    oldest_s: float  # age of the oldest row; 0 when nothing waits
    kinds: Mapping[Kind, int]  # rows of each kind
    replaying: int = 0  # delivered before, waiting to be said again
    unconfirmed: int = 0  # verdicts that the broker has and the MES has not confirmed
    dead_letters: int = 0  # refused by somebody; those of the broker wait, too


def open_file(path: Path, *, clock: Clock) -> Path | None:
    """Make `path` an outbox of this schema; where a damaged file was moved to, or None.

    A file that is no sound database is set aside whole, and a fresh one takes its place. Raises
    OutboxError for anything else that prevents work; then nothing was changed.
    """
    try:
        _create_or_migrate(path)
    except DamagedError:
        aside = _set_aside(path, clock)
        _create_or_migrate(path)
        return aside
    return None


def _create_or_migrate(path: Path) -> None:
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
            if _is_suspect(path):
                _check_integrity(database, path)
            if version == 0:
                database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table
            database.execute("PRAGMA journal_mode = WAL")
            if version == 0:
                database.executescript(CREATE)
            for later in range(max(version, 1) + 1, SCHEMA_VERSION + 1 if version else 0):
                database.executescript(MIGRATIONS[later])
            for table in ("progress", "tally", "waiting", "record"):  # damage on the way to them is seen now
                database.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()
        finally:
            database.close()


def suspect(path: Path) -> None:
    """Leave word that the file was found damaged, so that the next open reads all of it."""
    _suspicion(path).touch()


def _suspicion(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _is_suspect(path: Path) -> bool:
    return _suspicion(path).exists()


def _check_integrity(database: sqlite3.Connection, path: Path) -> None:
    found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedError(f"{path}: damaged ({found})")
    _suspicion(path).unlink()


def _set_aside(path: Path, clock: Clock) -> Path:
    """Rename file, WAL and shared memory, and make that last."""
    stamp = clock.utc_now().strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{(number := number + 1)}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    _suspicion(path).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return aside


def lock(path: Path) -> IO[str]:
    """Keep other agents off `path` until the answer is closed. Raises OutboxError when one has it."""
    beside = path.with_name(path.name + ".lock")
    try:
        held = beside.open("a+")
    except OSError as error:
        raise OutboxError(
            f"{beside}: cannot be opened ({error.strerror}); the folder must exist and the agent's user "
            "own it"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.seek(0)
        owner = held.read().strip() or "unknown"
        held.close()
        raise OutboxError(
            f"{path}: another agent has it (process {owner}); stop that one or set outbox.path to another "
            "file"
        ) from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


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


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection for a moment, from any thread or process. Raises OutboxError."""
    with _explained(path):
        database = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
        with closing(database):
            yield database


def read_depth(path: Path, *, clock: Clock) -> Depth:
    """How full the outbox at `path` is, read-only, from any thread or process. Raises OutboxError."""
    with reading(path) as database:
        database.execute("BEGIN")  # one moment for all answers
        tally = database.execute("SELECT class, rows, bytes FROM tally ORDER BY class").fetchall()
        oldest = database.execute(
            "SELECT created_ns FROM record WHERE seq = (SELECT seq FROM waiting ORDER BY seq LIMIT 1)"
        ).fetchone()
        dead = database.execute("SELECT COUNT(*) FROM dead_letter").fetchone()[0]
    age_s = 0.0 if oldest is None else clock.utc_now().timestamp() - oldest[0] / 1e9
    return Depth(
        rows=sum(rows for _, rows, _ in tally),
        bytes=sum(size for _, _, size in tally),
        oldest_s=max(age_s, 0.0),
        kinds={KINDS[number]: rows for number, rows, _ in tally if number < len(KINDS)},
        replaying=tally[REPLAY_CLASS][1],
        unconfirmed=tally[UNCONFIRMED_CLASS][1],
        dead_letters=dead,
    )


def explained(path: Path, error: Exception) -> OutboxError:
    """The same error in the words of the person who has to mend it."""
    theirs, cause = next(((one, ours) for one, ours in _CAUSES.items() if one in str(error)), ("", ""))
    kind = DamagedError if theirs in _DAMAGE else FullError if theirs == _FULL else OutboxError
    return kind(f"{path}: {cause or 'unexpected error, see the text in brackets'} ({error})")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explained(path, error) from error
