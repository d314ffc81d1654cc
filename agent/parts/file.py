"""What is known of parts, on disk: one SQLite file beside the outbox, whole after a crash at any step.

One transaction holds which verdicts were taken, what each rule knows since, and the part verdicts that
follow, with their numbers; so no view is taken twice and no number given twice, wherever the process ends. A
part verdict stays here until the outbox has it. A damaged file is moved away whole. For one thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent.contract.part import PartVerdict
from agent.contract.payloads import encode
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.outbox import reserve
from agent.outbox.file import transaction
from agent.outbox.reserve import Reserve
from agent.parts.view import Known

NAME = "parts.sqlite3"
VERSION = 1
APPLICATION = 0x504C5054  # PLPT, in the file's head: whose database it is
BUSY_TIMEOUT_S = 10.0
LOG_BYTES = 4 << 20

_KNOWN = TypeAdapter(Known)

_CREATE = f"""
BEGIN IMMEDIATE;
CREATE TABLE progress (taken INTEGER, sequence INTEGER NOT NULL);
INSERT INTO progress VALUES (NULL, 0);
CREATE TABLE state (rule TEXT PRIMARY KEY, content BLOB NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE part (sequence INTEGER PRIMARY KEY, content BLOB NOT NULL, digest BLOB NOT NULL);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""


class PartsError(PlumblineError):
    """Parts cannot be kept; names the file, the cause and the remedy."""


class DamagedPartsError(PartsError):
    """The file is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What there was at the last end."""

    taken: int | None = None  # sequence of the last verdict that was taken; None: of none yet
    sequence: int = 0  # of the last part verdict
    known: Mapping[str, Known] = field(default_factory=dict)  # by the rule's name
    parts: Sequence[PartVerdict] = ()  # that the outbox may not have


def place(outbox: Path) -> Path:
    """Where a station with its outbox there keeps what it knows of parts."""
    return outbox.with_name(f"{outbox.name}-{NAME}")


class PartFile:
    """Open from `open` to `close`. Every method raises PartsError; then nothing was changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._reserve: Reserve | None = None

    def open(self) -> Kept:
        """Made where there is none. Raises DamagedPartsError."""
        self.close()
        with self._explained():
            self._reserve = Reserve(self.path)
            self._database = _opened(self.path)
            kept = _read(self._database, self.path)
        if kept.taken is None:  # a file before this one may have given numbers
            return Kept(sequence=reserve.read(self.path))
        return kept

    def set_aside(self, suffix: str) -> Path:
        """Move a damaged file away, whole; where it lies then."""
        self.close()
        away = self.path.with_name(f"{self.path.name}.damaged-{suffix}")
        with self._explained():
            for end in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    self.path.with_name(f"{self.path.name}{end}").rename(f"{away}{end}")
        return away

    def keep(
        self,
        taken: int,
        sequence: int,
        known: Mapping[str, Known | None],
        parts: Sequence[PartVerdict],
        told: Sequence[int],
    ) -> None:
        """In one transaction: how far verdicts are taken and numbers given, what is known by rule (None:
        there is no such rule any more), part verdicts that the outbox is to have, and the numbers of those it
        has.
        """
        assert self._database is not None and self._reserve is not None
        with self._explained():
            if parts:
                self._reserve.cover(sequence)
            database = self._database
            with transaction(database):
                database.execute("UPDATE progress SET taken = ?, sequence = ?", (taken, sequence))
                database.executemany(
                    "INSERT OR REPLACE INTO state VALUES (?, ?, ?)",
                    [
                        (rule, *_sealed(_KNOWN.dump_json(one)))
                        for rule, one in known.items()
                        if one is not None
                    ],
                )
                gone = [(rule,) for rule, one in known.items() if one is None]
                database.executemany("DELETE FROM state WHERE rule = ?", gone)
                database.executemany(
                    "INSERT INTO part VALUES (?, ?, ?)",
                    [(part.sequence, *_sealed(encode(part))) for part in parts],
                )
                database.executemany("DELETE FROM part WHERE sequence = ?", [(one,) for one in told])

    def close(self) -> None:
        """What is open, if anything is."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):  # of a damaged one
                database.close()
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = shown(str(self.path))
        try:
            yield
        except sqlite3.DatabaseError as error:
            if any(words in str(error) for words in ("malformed", "not a database", "constraint failed")):
                raise DamagedPartsError(f"{where}: damaged ({error}); it is moved away") from error
            raise PartsError(
                f"{where}: cannot be written ({error}); free space on that disk, and see that the agent's "
                "user owns file and folder"
            ) from error
        except OSError as error:
            raise PartsError(f"{where}: {error.strerror}; see disk and folder") from error


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        if database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            _check_own(database, path)
            fresh = False
        else:
            fresh = True
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        database.execute("PRAGMA temp_store = MEMORY")
        if fresh:
            database.executescript(_CREATE)
    except BaseException:
        database.close()
        raise
    return database


def _check_own(database: sqlite3.Connection, path: Path) -> None:
    where = shown(str(path))
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise PartsError(f"{where}: it is another program's database; move it away")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise PartsError(
            f"{where}: version {version} of parts, this agent knows {VERSION}; install the one that wrote it"
        )
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedPartsError(f"{where}: damaged ({found}); it is moved away")


def _read(database: sqlite3.Connection, path: Path) -> Kept:
    taken, sequence = database.execute("SELECT taken, sequence FROM progress").fetchone()
    try:
        known = {
            str(rule): _KNOWN.validate_json(_whole(content, digest))
            for rule, content, digest in database.execute("SELECT rule, content, digest FROM state")
        }
        parts = [
            PartVerdict.model_validate_json(_whole(content, digest))
            for content, digest in database.execute("SELECT content, digest FROM part ORDER BY sequence")
        ]
    except ValueError as error:
        raise DamagedPartsError(
            f"{shown(str(path))}: a row is not what was written; it is moved away"
        ) from error
    return Kept(taken=taken, sequence=int(sequence), known=known, parts=parts)


def _sealed(content: bytes) -> tuple[bytes, bytes]:
    return content, hashlib.sha256(content).digest()


def _whole(content: Any, digest: Any) -> bytes:
    """Raises ValueError where it is not what was written."""
    if not isinstance(content, bytes) or hashlib.sha256(content).digest() != digest:
        raise ValueError("its digest differs")
    return content
