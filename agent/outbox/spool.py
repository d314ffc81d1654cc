"""The bounds of the outbox: what may be deleted when there is no room, in which order, and when nothing may.

Delivered history goes first, oldest first; then crops of parts that passed, then crops of others,
each with a tombstone event in the same transaction. A verdict or an event that waits is never deleted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.contract.row import Row
from agent.outbox import chain
from agent.outbox.waiting import Stamp, insert, marks

ROWS_AT_ONCE = 500
VACUUM_PAGES = 2048  # given back to the disk at a time
VACUUM_SHARE = 4  # when one page in so many is free
MARGIN = 0.05  # below a bound by this share before the spool counts as no longer full

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the outbox may hold; ages are in its own time (`age.py`)."""

    max_bytes: int = 1 << 62  # of the file, without its free pages
    min_free_bytes: int = 0  # on the disk, free pages of the file included
    history_s: float = 7 * DAY_S
    crop_age_s: float = 7 * DAY_S  # of a crop that waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the outbox holds, and what is left."""

    stored_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted:
    """A crop that was deleted before the broker had it."""

    crop_id: str
    result_id: str | None
    of_pass: bool
    size: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What one turn has deleted. `skipped`: by gateway, how many rows it will not get any more."""

    trimmed: int = 0
    evicted: tuple[Evicted, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)


def excess_bytes(usage: Usage, limits: Limits) -> int:
    """How much must go; 0 within the bounds."""
    return max(usage.stored_bytes - limits.max_bytes, limits.min_free_bytes - usage.free_bytes, 0)


def has_room(usage: Usage, limits: Limits) -> bool:
    """Clearly within the bounds, so that a full spool does not flap."""
    return usage.stored_bytes <= limits.max_bytes * (
        1 - MARGIN
    ) and usage.free_bytes >= limits.min_free_bytes * (1 + MARGIN)


def measure(database: sqlite3.Connection, disk_free_bytes: int) -> Usage:
    pages, spare, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return Usage(stored_bytes=(pages - spare) * size, free_bytes=disk_free_bytes + spare * size)


def tidy(
    database: sqlite3.Connection,
    limits: Limits,
    excess: int,
    now: Stamp,
    tombstone: Callable[[Evicted], Row],
) -> Tidied:
    """One turn, bounded in work: what is too old goes, and what makes room for `excess` bytes.

    Runs inside the caller's transaction.
    """
    trimmed, skipped, excess = _trim(database, now.lived_ns - round(limits.history_s * 1e9), excess)
    evicted = _evict_old(database, now.lived_ns - round(limits.crop_age_s * 1e9))
    excess -= sum(crop.size for crop in evicted)
    if excess > 0:
        evicted += _evict(database, excess)
    if trimmed or evicted:
        chain.forget(database)
    insert(database, [tombstone(crop) for crop in evicted], now)
    return Tidied(trimmed=trimmed, evicted=tuple(evicted), skipped=skipped)


def shrink(database: sqlite3.Connection) -> None:
    """Give free pages back to the disk, some at a time; outside of a transaction."""
    pages = int(database.execute("PRAGMA page_count").fetchone()[0])
    spare = int(database.execute("PRAGMA freelist_count").fetchone()[0])
    if spare > VACUUM_PAGES and spare * VACUUM_SHARE > pages:
        # Each step of this statement frees one page, and execute() takes one step only.
        database.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")


def _trim(database: sqlite3.Connection, before_ns: int, excess: int) -> tuple[int, dict[str, int], int]:
    """Delete history that is older or in excess: how many rows, whom it was kept for, the excess left."""
    gone: list[int] = []
    for seq, lived_ns, size in database.execute(
        """SELECT history.seq, lived_ns, size FROM history JOIN record ON record.seq = history.seq
        WHERE history.seq NOT IN (SELECT seq FROM waiting) ORDER BY history.seq LIMIT ?""",
        (ROWS_AT_ONCE,),
    ):
        if lived_ns >= before_ns and excess <= 0:
            break
        gone.append(seq)
        excess -= size
    skipped = {
        name: sum(seq > passed for seq in gone)
        for name, passed in database.execute("SELECT name, seq FROM cursor").fetchall()
        if gone and gone[-1] > passed
    }
    _delete(database, gone)
    return len(gone), skipped, excess


def _evict_old(database: sqlite3.Connection, before_ns: int) -> list[Evicted]:
    found = []
    for evict in (0, 1):
        for crop, lived_ns in _crops(database, evict, "it waited too long"):
            if lived_ns >= before_ns:
                break
            found.append(crop)
    return _without(database, found)


def _evict(database: sqlite3.Connection, excess: int) -> list[Evicted]:
    found: list[Evicted] = []
    for evict in (0, 1):
        for crop, _ in _crops(database, evict, "the outbox is at its bound"):
            if excess <= 0 or len(found) == ROWS_AT_ONCE:
                break
            found.append(crop)
            excess -= crop.size
    return _without(database, found)


def _crops(database: sqlite3.Connection, evict: int, reason: str) -> Iterator[tuple[Evicted, int]]:
    """Crops that wait, oldest first, with the outbox's time of their commit."""
    for id_, size, lived_ns, properties in database.execute(
        """SELECT id, size, lived_ns, properties FROM record
        WHERE class = 2 AND evict = ? AND seq IN (SELECT seq FROM waiting) ORDER BY seq LIMIT ?""",
        (evict, ROWS_AT_ONCE),
    ):
        try:
            result_id = dict(json.loads(properties)).get("result_id")
        except ValueError:  # it was changed in the file, and is found out when its turn comes
            result_id = None
        crop = Evicted(crop_id=id_, result_id=result_id, of_pass=evict == 0, size=size, reason=reason)
        yield crop, lived_ns


def _without(database: sqlite3.Connection, crops: list[Evicted]) -> list[Evicted]:
    ids = [crop.crop_id for crop in crops]
    seqs = database.execute(f"SELECT seq FROM record WHERE id IN ({marks(ids)})", ids).fetchall()
    _delete(database, [seq for (seq,) in seqs])
    return crops


def _delete(database: sqlite3.Connection, seqs: Sequence[int]) -> None:
    gone = set(seqs)
    stays = (seq for (seq,) in database.execute("SELECT seq FROM record ORDER BY seq") if seq not in gone)
    if (oldest := next(stays, None)) is not None:
        chain.leave(database, [seq for seq in seqs if seq > oldest])
    for table in ("waiting", "history", "dead_letter", "record"):
        database.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq in seqs])
