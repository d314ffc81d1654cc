"""A damaged outbox gives its place to a fresh one with all that could be saved; it is kept beside it, whole.

Whoever meets damage leaves word beside the file (`outbox_file.suspect`), and the next open looks at all of
it. The fresh file is finished first. Then the word says what the damaged one will be called, and from there
on every cut is gone on with: at any moment there is the damaged file or a whole fresh one in its place.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from agent.clock import Clock
from agent.durable import sync_folder
from agent.outbox import file as outbox_file
from agent.outbox import reserve, sqlite_pages, wreck
from agent.outbox.file import DamagedError
from agent.outbox.salvage import Salvage, discard, salvage

log = structlog.get_logger(__name__)

_PARTS = ("-wal", "-shm", "")


def open_or_mend(path: Path, *, clock: Clock) -> None:
    """Make `path` an outbox of this schema, with what a damaged one still had. Raises OutboxError."""
    try:
        _finish(path)
        try:
            if _is_hollow(path):
                raise DamagedError(f"{path}: empty, though it had rows")
            if _has_unread_verdicts(path):
                raise DamagedError(f"{path}-wal: damaged in front of verdicts")
            if outbox_file.forbids_writing(path):
                raise DamagedError(f"{path}: its head has SQLite only read it")
            outbox_file.open_file(path, clock=clock)
            if _has_an_odd_report(path):
                raise DamagedError(f"{path}: damaged (its report of what was saved is none)")
        except DamagedError as error:
            log.error("outbox_damaged", path=str(path), reason=str(error))
            _mend(path, clock)
            outbox_file.open_file(path, clock=clock)
    except OSError as error:
        raise outbox_file.explained_os(path, error) from error


def _has_an_odd_report(path: Path) -> bool:
    """Whether what a salvage before this one had to tell cannot be read."""
    with outbox_file.reading(path) as database:
        reports = database.execute("SELECT report FROM salvage").fetchall()
    try:
        for (report,) in reports:
            Salvage.of_json(report)
    except (ValueError, TypeError, AttributeError):
        return True
    return False


def _is_hollow(path: Path) -> bool:
    """Without a byte, though it had some: SQLite would take it for a new one and throw its log away."""
    if not path.exists() or path.stat().st_size:
        return False
    log_ = path.with_name(path.name + "-wal")
    return reserve.read(path) > 0 or (log_.exists() and log_.stat().st_size > 0)


def _has_unread_verdicts(path: Path) -> bool:
    """Whether the log is broken in front of verdicts that were certain: SQLite drops them silently.

    A commit of verdicts is on the disk before the next one begins, so that a power cut breaks at most one.
    """
    if not path.with_name(path.name + "-wal").exists() or not path.exists():
        return False
    with sqlite_pages.opened(path) as pages:
        if len(pages.unread) < 2:
            return False
        progress = wreck.roots(pages).get("progress")
        return sum(progress in commit for commit in pages.unread) >= 2


def _mend(path: Path, clock: Clock) -> None:
    fresh, aside = _fresh(path), _aside(path, clock)
    discard(fresh)
    done = salvage(path, fresh, named=aside, reserved=reserve.read(path))
    log.error("outbox_salvaged", path=str(path), moved_to=str(aside), detail=done.words())
    word = outbox_file.suspicion(path)
    beside = word.with_name(word.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(aside.name)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(word)
    sync_folder(path.parent)
    _finish(path)


def _finish(path: Path) -> None:
    """Go on with an exchange that has begun: only then the word has a name, and the fresh file is whole."""
    word = outbox_file.suspicion(path)
    if not word.exists() or not (name := word.read_text(encoding="utf-8")):
        return
    fresh = _fresh(path)
    if fresh.exists():
        for suffix in _PARTS:
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(path.with_name(name + suffix))
        fresh.rename(path)
        sync_folder(path.parent)
    word.unlink()
    sync_folder(path.parent)


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".fresh")


def _aside(path: Path, clock: Clock) -> Path:
    """A name that nothing has."""
    stamp = clock.utc_now().strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while any(aside.with_name(aside.name + suffix).exists() for suffix in _PARTS):
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{(number := number + 1)}")
    return aside
