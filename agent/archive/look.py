"""What a person asks of an archive from outside: how full it is, what in it is not sound. Only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.archive import entry, files
from agent.archive.entry import EntryError
from agent.archive.faults import ArchiveError, explained
from agent.archive.index import NAME, VERSION, Kept, Query, found_in

_MENDED = "start the agent once, which makes it anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """As the index has it."""

    entries: int
    size_bytes: int
    marked: int
    verdicts: Mapping[str, int]
    oldest: str | None
    newest: str | None
    torn: int  # files that lie aside


def summary(folder: Path) -> Summary:
    """How full the archive in `folder` is; works beside a running agent. Raises ArchiveError."""
    with _reading(folder) as database:
        entries, size, marked, oldest, newest = database.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0), COUNT(mark), MIN(created), MAX(created) FROM entry"
        ).fetchone()
        counts = database.execute("SELECT verdict, COUNT(*) FROM entry GROUP BY verdict").fetchall()
        torn = files.torn(folder)
    return Summary(
        entries=entries,
        size_bytes=size,
        marked=marked,
        verdicts=dict(counts),
        oldest=oldest,
        newest=newest,
        torn=torn,
    )


def find(folder: Path, query: Query) -> list[Kept]:
    """Entries in the index; works beside a running agent. Raises ArchiveError."""
    with _reading(folder) as database:
        return found_in(database, query)


def newest(folder: Path) -> Iterator[Path]:
    """The files that are named as entries, newest first, from the files alone; works beside a running agent.

    Ids grow with time. Raises ArchiveError.
    """
    try:
        for day in reversed(files.days(folder)):
            for file in sorted(files.of_day(folder, day), key=lambda one: one.id, reverse=True):
                yield files.path_of(folder, file)
    except OSError as error:
        raise explained(folder, error) from error


def check(folder: Path) -> Iterator[str | None]:
    """Reads every entry: None for a sound one, else what is wrong with it. Raises ArchiveError."""
    try:
        for file in files.scan(folder):
            path = files.path_of(folder, file)
            try:
                entry.read(path)
                yield None
            except EntryError as error:
                if path.exists():  # it may have made room meanwhile
                    yield str(error)
    except OSError as error:
        raise explained(folder, error) from error


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / NAME
    if not path.is_file():
        raise ArchiveError(f"{folder}: no archive is there; an agent makes one where archive.folder names it")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise ArchiveError(f"{path}: version {version}, this command knows {VERSION}; {_MENDED}")
            yield database
    except sqlite3.Error as error:
        raise ArchiveError(f"{path}: {error}; {_MENDED}") from error
    except OSError as error:
        raise explained(folder, error) from error
