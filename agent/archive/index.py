"""What entries there are, in an SQLite file beside them: to ask by time, camera, verdict, score or mark.

The files are the truth. An index that is missing, damaged or of another version is made anew from them, so
nothing here needs to survive a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import structlog

from agent.archive import files
from agent.archive.entry import Head
from agent.archive.files import File
from agent.archive.record import Mark, MarkWord
from agent.clock import rfc3339
from agent.messages import VerdictName

NAME = "plumbline-archive.sqlite3"
VERSION = 3  # 1 knew no labels, 2 no boxes
APPLICATION = 0x504C4152  # PLAR, in the file's head: whose database it is
BUSY_TIMEOUT_S = 10.0
RANKS: dict[VerdictName, int] = {"pass": 0, "undecided": 1, "fail": 2}  # lower ones go first
MARKED = 3
MOST_LABELS = 200  # that are told
LOG_PAGES = 256  # after which the log is written back; it counts to the archive's bytes

Order: TypeAlias = Literal["rejects", "newest"]

_CREATE = f"""
CREATE TABLE entry (
    id TEXT PRIMARY KEY,
    created TEXT NOT NULL,
    camera TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT,
    score REAL,
    threshold REAL,
    part_id TEXT,
    recipe TEXT NOT NULL,
    mark TEXT,
    marked_by TEXT,
    marked_at TEXT,
    label TEXT,
    lines INTEGER NOT NULL,
    boxes TEXT NOT NULL,
    rank INTEGER NOT NULL,
    day TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_time ON entry (created, id);
CREATE INDEX by_rank ON entry (rank, created, id);
CREATE INDEX by_label ON entry (label, created, id) WHERE label IS NOT NULL;
CREATE INDEX by_mark ON entry (created, id) WHERE mark IS NOT NULL;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""
_COLUMNS = (
    "id, created, camera, verdict, reason, score, threshold, part_id, recipe, mark, marked_by, marked_at,"
    " label, lines, boxes, rank, day, size, mtime_ns"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which entries; everything that is given must hold. Newest first."""

    since: datetime | None = None  # of the record, this moment included
    until: datetime | None = None  # before it
    camera: str | None = None
    verdict: VerdictName | None = None
    lowest_score: float | None = None  # raw
    highest_score: float | None = None
    mark: MarkWord | Literal["any", "none"] | None = None
    label: str | None = None  # of the strongest defect that has one
    after: tuple[str, str] | None = None  # created and id of the last one that is known: those before it
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An entry in the index, and where its file lies from the archive's folder."""

    head: Head
    file: File

    @property
    def path(self) -> Path:
        return files.path_of(Path(), self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of all entries."""

    entries: int
    size_bytes: int
    marked: int
    oldest: str | None  # created


class ForeignIndexError(Exception):
    """A sound database under the index's name that is another program's."""


class Index:
    """One connection that writes, for whoever has the shelf's turn, and one that reads, from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = threading.Lock()

    def open(self) -> None:
        """Open it, or begin an empty one where there is none that is any good.

        Raises sqlite3.Error and OSError for what prevents work, ForeignIndexError for another's database.
        """
        try:
            self._writes = self._connected()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(str(error))
            self._writes = self._connected()
        try:
            self._reads = _connect(self._path)
        except BaseException:
            self._writes.close()
            raise

    def close(self) -> None:
        with self._reading:
            self._reads.close()
        self._writes.close()

    def size_bytes(self) -> int:
        """Of the index itself, on disk."""
        total = 0
        for end in ("", "-wal"):
            with suppress(OSError):
                total += self._path.with_name(self._path.name + end).stat().st_size
        return total

    @contextmanager
    def change(self) -> Iterator[None]:
        """Everything in the block, or nothing."""
        self._writes.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writes.execute("COMMIT")
        except BaseException:
            if self._writes.in_transaction:
                self._writes.execute("ROLLBACK")
            raise

    def add(self, head: Head, file: File) -> None:
        """Or take the place of what was known of this id."""
        mark = head.mark
        said = (None, None, None) if mark is None else (mark.word, mark.by, mark.at.isoformat())
        rank = RANKS[head.verdict] if mark is None else MARKED
        values = (
            *(head.id, head.created, head.camera, head.verdict, head.reason, head.score, head.threshold),
            *(head.part_id, head.recipe, *said, head.label, head.lines, json.dumps(head.boxes)),
            *(rank, file.day, file.size, file.mtime_ns),
        )
        self._writes.execute(
            f"INSERT OR REPLACE INTO entry ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values
        )

    def forget(self, ids: Sequence[str]) -> None:
        self._writes.executemany("DELETE FROM entry WHERE id = ?", [(one,) for one in ids])

    def days(self) -> list[str]:
        """On which there are entries."""
        return [day for (day,) in self._writes.execute("SELECT DISTINCT day FROM entry ORDER BY day")]

    def of_day(self, day: str) -> dict[str, File]:
        """All that is known of a day, by id."""
        return {
            one.id: one for one in self._files("created BETWEEN ? AND ? ORDER BY created", day, f"{day}Z")
        }

    def first_to_go(self, order: Order, *, below_rank: int, limit: int) -> list[File]:
        """Entries in the order in which they make room; with `rejects` only those of a rank below.

        With `newest` all ranks are one, but for that of marked ones.
        """
        if order == "rejects":
            return self._files("rank < ? ORDER BY rank, created, id LIMIT ?", below_rank, limit)
        going = self._files("rank < ? ORDER BY created, id LIMIT ?", MARKED, limit)
        if below_rank > MARKED:
            going += self._files("rank >= ? ORDER BY created, id LIMIT ?", MARKED, limit - len(going))
        return going

    def older_than(self, created: str, limit: int) -> list[File]:
        """Those without a mark."""
        return self._files(f"created < ? AND rank < {MARKED} ORDER BY created LIMIT ?", created, limit)

    def _files(self, which: str, *values: str | int) -> list[File]:
        rows = self._writes.execute(f"SELECT id, day, size, mtime_ns FROM entry WHERE {which}", values)
        return [File(id=one, day=day, size=size, mtime_ns=mtime_ns) for one, day, size, mtime_ns in rows]

    def totals(self) -> Totals:
        with self._reading:
            entries, size, marked, oldest = self._reads.execute(
                "SELECT COUNT(*), COALESCE(SUM(size), 0), COUNT(mark), MIN(created) FROM entry"
            ).fetchone()
        return Totals(entries=entries, size_bytes=size, marked=marked, oldest=oldest)

    def get(self, id_: str) -> Kept | None:
        with self._reading:
            row = self._reads.execute(f"SELECT {_COLUMNS} FROM entry WHERE id = ?", (id_,)).fetchone()
        return None if row is None else _kept(row)

    def find(self, query: Query) -> list[Kept]:
        with self._reading:
            return found_in(self._reads, query)

    def labels(self) -> list[str]:
        """Of all entries, each once, in the order of letters."""
        with self._reading:
            rows = self._reads.execute(
                "SELECT DISTINCT label FROM entry WHERE label IS NOT NULL ORDER BY label LIMIT ?",
                (MOST_LABELS,),
            )
            return [label for (label,) in rows]

    def _connected(self) -> sqlite3.Connection:
        database = _connect(self._path)
        try:
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            application = int(database.execute("PRAGMA application_id").fetchone()[0])
            tables = int(database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0])
            if tables and application != APPLICATION:
                raise ForeignIndexError(f"{self._path}: it is another program's database")
            if tables and version != VERSION:
                log.warning("archive_index_rebuilt", reason=f"version {version}, this agent's is {VERSION}")
                database.close()
                _delete(self._path)
                database = _connect(self._path)
                tables = 0
            if tables and (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(f"malformed: {found}")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            database.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * 4096}")
            if not tables:
                database.executescript(_CREATE)
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self, reason: str) -> None:
        aside = self._path.with_name(self._path.name + ".damaged")
        log.warning("archive_index_rebuilt", reason=f"damaged: {reason}", set_aside=str(aside))
        self._path.replace(aside)
        _delete(self._path)


def found_in(database: sqlite3.Connection, query: Query) -> list[Kept]:
    """Newest first."""
    where, values = _conditions(query)
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM entry WHERE {where} ORDER BY created DESC, id DESC LIMIT ?",
        (*values, query.limit),
    )
    return [_kept(row) for row in rows.fetchall()]


def _conditions(query: Query) -> tuple[str, list[str | float]]:
    conditions: list[str] = ["1"]
    values: list[str | float] = []

    def hold(condition: str, value: str | float | None) -> None:
        if value is not None:
            conditions.append(condition)
            values.append(value)

    hold("created >= ?", None if query.since is None else rfc3339(query.since))
    hold("created < ?", None if query.until is None else rfc3339(query.until))
    hold("camera = ?", query.camera)
    hold("verdict = ?", query.verdict)
    hold("label = ?", query.label)
    hold("score >= ?", query.lowest_score)
    hold("score <= ?", query.highest_score)
    if query.mark in ("any", "none"):
        conditions.append("mark IS NOT NULL" if query.mark == "any" else "mark IS NULL")
    else:
        hold("mark = ?", query.mark)
    if query.after is not None:
        conditions.append("(created, id) < (?, ?)")
        values += query.after
    return " AND ".join(conditions), values


def _kept(row: tuple[object, ...]) -> Kept:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    mark = None
    if values["mark"] is not None:
        mark = Mark.model_validate(
            {"word": values["mark"], "by": values["marked_by"], "at": values["marked_at"]}
        )
    names = (
        "id",
        "created",
        "camera",
        "verdict",
        "reason",
        "score",
        "threshold",
        "part_id",
        "recipe",
        "label",
        "lines",
    )
    boxes = tuple(tuple(box) for box in json.loads(str(values["boxes"])))
    return Kept(
        head=Head(**{name: values[name] for name in names}, boxes=boxes, mark=mark),  # type: ignore[arg-type]
        file=File(**{name: values[name] for name in ("id", "day", "size", "mtime_ns")}),  # type: ignore[arg-type]
    )


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA temp_store = MEMORY")
    return database


def _delete(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return any(words in str(error) for words in ("not a database", "malformed", "unsupported file format"))
