"""The outbox on disk: how the file is opened, locked and mended, what its errors mean, how full it is."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from agent.clock import Clock
from agent.contract.row import KINDS, RowKind
from agent.errors import PlumblineError
from agent.outbox import age, sound
from agent.outbox.schema import CREATE, MIGRATIONS, SCHEMA_VERSION

REPLAY_CLASS = 3  # delivered before and waiting to be said again
BROKER = "mqtt"  # the broker's name among the readers
START = ""  # the cursor at which new ones begin, while there is one: a damaged file has lost some
UNCONFIRMED_CLASS = 4  # with the broker, and the MES has not said that it has it

BUSY_TIMEOUT_S = 10.0
TEXT = partial(str, encoding="utf-8", errors="surrogateescape")  # text that was damaged can still be read
WAL_KEPT_BYTES = 64 * 1024 * 1024

_NOT_OPENED = "unable to open database file"
_FULL = "database or disk is full"
_DAMAGE = (
    *("file is not a database", "database disk image is malformed", "malformed database schema"),
    "unsupported file format",
    "constraint failed",  # a number that another one in the file contradicts
)
_UNWRITABLE = "readonly database"
_WRITES_BY = 18  # place in the head of a file: the version of SQLite's format that may write it, 1 or 2
_NO_FILES = (errno.EMFILE, errno.ENFILE)
_OUT_OF_FILES = "too many open files in this process; raise LimitNOFILE of its unit, or see what holds them"
_LIVED = "SELECT lived_ns FROM record WHERE seq ="
NEWEST_PLAUSIBLE = 1000  # of a schema's versions; a file of ours that says more is damaged

# SQLite's words to ours: Python 3.10 does not expose the error codes.
_CAUSES: dict[str, str] = {
    **dict.fromkeys(_DAMAGE, "damaged; its next open saves what can be read and sets the file aside"),
    _NOT_OPENED: "cannot be opened; the folder must exist and the agent's user own it",
    _UNWRITABLE: "cannot be written; give the agent's user write permission to file and folder",
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
class Reader:
    """What waits for one of those that rows go to: `mqtt`, the broker, or a gateway by its name."""

    name: str
    rows: int
    oldest_s: float  # age of the oldest row; 0 when nothing waits
    refused: int  # rows it did not take


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What waits for the broker, and for each reader."""

    rows: int
    bytes: int
    oldest_s: float  # age of the oldest row; 0 when nothing waits
    kinds: Mapping[RowKind, int]  # rows of each kind
    readers: tuple[Reader, ...]  # the broker and every gateway
    replaying: int = 0  # delivered before, waiting to be said again
    unconfirmed: int = 0  # verdicts that the broker has and the MES has not confirmed
    dead_letters: int = 0  # refused by somebody; those of the broker wait, too


def open_file(path: Path, *, clock: Clock) -> None:
    """Make `path` an outbox of this schema.

    Raises DamagedError for one that is no sound database, and OutboxError for what else prevents work; then
    nothing was changed.
    """
    with _explained(path), closing(connect(path, synchronous="FULL")) as database:
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        names = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master")}
        ours = bool(names & {"record", "outbox"} and names & {"progress", "tally"})
        if version > SCHEMA_VERSION and (version <= NEWEST_PLAUSIBLE or not ours):
            raise OutboxError(
                f"{path}: schema version {version} was written by a newer agent, this one knows "
                f"{SCHEMA_VERSION}; install that version again or set outbox.path to another file"
            )
        misnamed = (version == 0 and ours) or sound.is_later(names, version)
        if version not in range(SCHEMA_VERSION + 1) or misnamed:
            raise DamagedError(f"{path}: damaged (schema version {version})")
        if version == 0 and names:
            raise OutboxError(f"{path}: it is another program's database; set outbox.path to another file")
        if is_suspect(path):
            _check_integrity(database, path, deep=version == SCHEMA_VERSION)
        if version == 0:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table
        database.execute("PRAGMA journal_mode = WAL")
        if version == 0:
            database.executescript(CREATE)
        for later in range(max(version, 1) + 1, SCHEMA_VERSION + 1 if version else 0):
            database.executescript(MIGRATIONS[later])
        if (problem := sound.problem(database, path)) is not None:
            raise DamagedError(f"{path}: damaged ({problem})")


def suspect(path: Path) -> None:
    """Leave word that the file was found damaged, so that the next open reads all of it."""
    with suppress(OSError):  # of who may only read it, or has no file to spare
        suspicion(path).touch()


def suspicion(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def is_suspect(path: Path) -> bool:
    return suspicion(path).exists()


def _check_integrity(database: sqlite3.Connection, path: Path, *, deep: bool) -> None:
    found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found == "ok" and deep:
        found = sound.deep_problem(database) or "ok"
    if found != "ok":
        raise DamagedError(f"{path}: damaged ({found})")
    suspicion(path).unlink()


def connect(path: Path, *, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
    """A connection in autocommit mode. The caller sees to it that one thread uses it at a time."""
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    database.execute("PRAGMA temp_store = MEMORY")  # no file is opened once it runs
    database.text_factory = TEXT
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


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A read-only connection in autocommit mode."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    database = sqlite3.connect(
        address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    database.execute("PRAGMA temp_store = MEMORY")
    database.text_factory = TEXT
    return database


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection for a moment, from any thread or process. Raises OutboxError."""
    with _explained(path), closing(connect_to_read(path)) as database:
        yield database


def read_depth(path: Path, *, clock: Clock) -> Depth:
    """How full the outbox at `path` is, read-only, from any thread or process. Raises OutboxError."""
    with reading(path) as database:
        check_version(database, path)
        return measure(database, clock)


def check_version(database: sqlite3.Connection, path: Path) -> None:
    """Raises OutboxError for a file of another schema, before its tables are read beside an agent."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version != SCHEMA_VERSION:
        raise OutboxError(
            f"{path}: schema version {version}, this command knows {SCHEMA_VERSION}; "
            "start the agent once, which brings the file up to date, or use its version of the command"
        )


def measure(database: sqlite3.Connection, clock: Clock) -> Depth:
    """How full the outbox behind a connection is, all at one moment."""
    database.execute("BEGIN")
    try:
        tally = {
            number: (rows, size)
            for number, rows, size in database.execute("SELECT class, rows, bytes FROM tally")
        }
        oldest = database.execute(f"{_LIVED} (SELECT seq FROM waiting ORDER BY seq LIMIT 1)").fetchone()
        behind = database.execute(
            f"""SELECT name, rows, ({_LIVED} (SELECT MIN(seq) FROM record WHERE seq > cursor.seq)) FROM cursor
            ORDER BY name"""
        ).fetchall()
        refused = dict(database.execute("SELECT place, COUNT(*) FROM dead_letter GROUP BY place").fetchall())
        anchor = age.read_anchor(database)
    finally:
        database.execute("ROLLBACK")
    now_ns = age.lived_ns(anchor, age.moment(clock))

    def age_s(lived_ns: int | None) -> float:
        return 0.0 if lived_ns is None else max(0.0, (now_ns - lived_ns) / 1e9)

    rows = sum(rows for rows, _ in tally.values())
    oldest_s = age_s(oldest and oldest[0])
    broker = Reader(name=BROKER, rows=rows, oldest_s=oldest_s, refused=refused.get(BROKER, 0))
    gateways = (
        Reader(name=name, rows=count, oldest_s=age_s(lived_ns), refused=refused.get(name, 0))
        for name, count, lived_ns in behind
    )
    return Depth(
        rows=rows,
        bytes=sum(size for _, size in tally.values()),
        oldest_s=oldest_s,
        kinds={kind: tally[number][0] for number, kind in enumerate(KINDS)},
        readers=(broker, *gateways),
        replaying=tally[REPLAY_CLASS][0],
        unconfirmed=tally[UNCONFIRMED_CLASS][0],
        dead_letters=sum(refused.values()),
    )


def explained(path: Path, error: Exception) -> OutboxError:
    """The same error in the words of the person who has to mend it. Of damage it leaves word at the file."""
    theirs, cause = next(((one, ours) for one, ours in _CAUSES.items() if one in str(error)), ("", ""))
    if theirs == _NOT_OPENED and _is_out_of_files():
        cause = _OUT_OF_FILES
    if theirs == _UNWRITABLE and forbids_writing(path):
        theirs, cause = _DAMAGE[0], _CAUSES[_DAMAGE[0]]
    kind = DamagedError if theirs in _DAMAGE else FullError if theirs == _FULL else OutboxError
    if kind is DamagedError:
        suspect(path)
    return kind(f"{path}: {cause or 'unexpected error, see the text in brackets'} ({error})")


def explained_os(path: Path, error: OSError) -> OutboxError:
    """What the system says of a file beside the outbox, with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullError(f"{path}: {_CAUSES[_FULL]} ({error.strerror})")
    remedy = "see the disk and the kernel log"
    if error.errno in _NO_FILES:
        remedy = _OUT_OF_FILES
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "file and folder must be the agent's user's own, on a disk that can be written"
    return OutboxError(f"{path}: cannot be opened or written ({error.strerror}); {remedy}")


def explained_any(path: Path, error: sqlite3.Error | OSError) -> OutboxError:
    return explained_os(path, error) if isinstance(error, OSError) else explained(path, error)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explained(path, error) from error


def forbids_writing(path: Path) -> bool:
    """Whether the file's own head has SQLite only read it, which no agent ever wrote."""
    try:
        with path.open("rb") as file:
            head = file.read(_WRITES_BY + 1)
    except OSError:
        return False
    return len(head) > _WRITES_BY and head[_WRITES_BY] > 2


def _is_out_of_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NO_FILES
    return False
