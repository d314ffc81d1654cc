"""Where entries lie, and how they get there: whole or not at all, wherever a crash cuts.

    FOLDER/2026-11-24/RESULT_ID.png            an entry; the day is that of its verdict, in UTC
    FOLDER/2026-11-24/.RESULT_ID.png.part      one that is being written
    FOLDER/torn/RESULT_ID.png                  an entry that a failing disk or a person cut short

Everything else in the folder is somebody else's and is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".png"
TORN = "torn"
PIECES_AT_ONCE = 64  # of one call; systems take at least 1024

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENTRY = re.compile(rf"({_ID.pattern})\{SUFFIX}")
_PART = re.compile(rf"\.{_ID.pattern}\{SUFFIX}\.part")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is named as an entry; what is in it is not known yet."""

    id: str
    day: str
    size: int
    mtime_ns: int


def place(folder: Path, id_: str, created: str) -> Path:
    """Where an entry lies. Raises ValueError for an id or a time that cannot be part of a name."""
    if not _ID.fullmatch(id_):
        raise ValueError(f"the id {id_!r} cannot stand in a file name")
    if not _DAY.fullmatch(created[:10]):
        raise ValueError(f"the time {created!r} does not begin with a day")
    return folder / created[:10] / f"{id_}{SUFFIX}"


def put(path: Path, pieces: Sequence[bytes | memoryview]) -> File:
    """Have a file with these bytes at `path`, at once and whole. Raises OSError; then nothing has changed.

    A power cut may undo it for some seconds yet; `durable.sync_folder` ends that.
    """
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write(descriptor, pieces)
            os.fsync(descriptor)
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    return File(id=path.stem, day=path.parent.name, size=found.st_size, mtime_ns=found.st_mtime_ns)


def remove(path: Path) -> None:
    """The file, gone already or not, and its day with the last one. Raises OSError."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        path.parent.rmdir()


def path_of(folder: Path, file: File) -> Path:
    """Where it lies."""
    return folder / file.day / f"{file.id}{SUFFIX}"


def take_room(folder: Path, size: int) -> None:
    """See that the folder takes a file of `size` bytes; nothing is left of it. Raises OSError."""
    trial = folder / f".trial{SUFFIX}.part"
    descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, max(1, size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        trial.unlink(missing_ok=True)


def days(folder: Path) -> list[str]:
    """Which days may have entries. Raises OSError."""
    with os.scandir(folder) as found:
        return sorted(
            one.name for one in found if _DAY.fullmatch(one.name) and one.is_dir(follow_symlinks=False)
        )


def of_day(folder: Path, day: str) -> Iterator[File]:
    """Every file of a day that is named as an entry, less those that vanish meanwhile. Raises OSError."""
    for one in _files(folder / day):
        if named := _ENTRY.fullmatch(one.name):
            try:
                found = one.stat()
            except FileNotFoundError:
                continue
            yield File(id=named[1], day=day, size=found.st_size, mtime_ns=found.st_mtime_ns)


def scan(folder: Path) -> Iterator[File]:
    """The same of all days."""
    for day in days(folder):
        yield from of_day(folder, day)


def strangers(folder: Path) -> Iterator[tuple[str, Path]]:
    """What lies among the entries and is none: unfinished, torn (set aside) or foreign. Raises OSError."""
    for day in days(folder):
        for one in sorted(os.scandir(folder / day), key=lambda one: one.name):
            if not _ENTRY.fullmatch(one.name) or not one.is_file(follow_symlinks=False):
                yield "unfinished" if _PART.fullmatch(one.name) else "foreign", Path(one.path)
    with suppress(FileNotFoundError):
        yield from (("torn", path) for path in sorted((folder / TORN).iterdir()))


def sweep(folder: Path) -> None:
    """Remove what a crash left half written; nobody may be writing. Raises OSError."""
    for day in days(folder):
        for one in _files(folder / day):
            if _PART.fullmatch(one.name):
                Path(one.path).unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        found = os.scandir(folder)
    except FileNotFoundError:  # its last entry is gone, and the day with it
        return
    with found:
        yield from (one for one in found if one.is_file(follow_symlinks=False))


def set_aside(folder: Path, path: Path) -> Path:
    """Move a torn entry out of the way. Raises OSError."""
    aside = folder / TORN / path.name
    aside.parent.mkdir(exist_ok=True)
    path.replace(aside)
    return aside


def torn(folder: Path) -> int:
    """How many torn entries lie aside."""
    try:
        return sum(1 for _ in (folder / TORN).iterdir())
    except FileNotFoundError:
        return 0


def _write(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    left = [memoryview(piece) for piece in pieces]
    while left:
        written = os.writev(descriptor, left[:PIECES_AT_ONCE])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]
