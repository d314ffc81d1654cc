"""Every file of the archives below some folders: entries, and what lies among them and is none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from agent.archive import files
from agent.archive.index import NAME
from agent.archive.shelf import LOCK
from agent.foreign import shown
from models.rescoring.faults import RescoreError

DEEPEST = 8  # folders below one that is named, until an archive
OF_THE_ARCHIVE = (NAME, LOCK)  # with what SQLite lays beside its file

Kind: TypeAlias = Literal["entry", "torn", "unfinished", "foreign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file; `id` is what an entry is named by, else empty."""

    kind: Kind
    folder: int  # index in `Survey.folders`
    name: str  # below that folder
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that was found, in no order."""

    folders: tuple[str, ...]  # archives, and others in which foreign files lie
    archives: int  # how many of the first are archives
    files: list[File]


def survey(named: Sequence[Path]) -> Survey:
    """Of folders that are archives, or have archives below them; links are not followed.

    Raises RescoreError for one without an archive, and for one that cannot be read.
    """
    archives: dict[str, None] = {}
    outside: list[Path] = []
    for folder in named:
        try:
            found = list(_archives(folder.resolve(), outside, DEEPEST))
        except OSError as error:
            raise _unreadable(folder, error) from error
        if not found:
            raise RescoreError(
                f"--frames {shown(str(folder))}: no archive is there or below; give archive.folder of a"
                " station,"
                " which has a folder for each day, or a folder with many of these"
            )
        archives |= dict.fromkeys(map(str, found))
    folders = list(archives)
    there: list[File] = []
    for number, folder_ in enumerate(folders):
        try:
            there += _files(number, Path(folder_))
        except OSError as error:
            raise _unreadable(Path(folder_), error) from error
    for path in dict.fromkeys(outside):
        if str(path.parent) not in folders:
            folders.append(str(path.parent))
        there.append(File(kind="foreign", folder=folders.index(str(path.parent)), name=path.name, id=""))
    return Survey(folders=tuple(folders), archives=len(archives), files=there)


def _archives(folder: Path, outside: list[Path], deepest: int) -> Iterator[Path]:
    if files.days(folder) or (folder / NAME).exists():
        yield folder
        return
    with os.scandir(folder) as found:
        below = sorted(found, key=lambda one: one.name)
    for one in below:
        if not one.is_dir(follow_symlinks=False):
            outside.append(Path(one.path))
        elif deepest:
            yield from _archives(Path(one.path), outside, deepest - 1)


def _files(number: int, archive: Path) -> Iterator[File]:
    for file in files.scan(archive):
        name = str(files.path_of(archive, file).relative_to(archive))
        yield File(kind="entry", folder=number, name=name, id=file.id)
    for kind, path in files.strangers(archive):
        yield File(kind=cast(Kind, kind), folder=number, name=str(path.relative_to(archive)), id="")
    days = set(files.days(archive))
    for path in sorted(archive.iterdir()):
        if path.name not in days and path.name != files.TORN and not path.name.startswith(OF_THE_ARCHIVE):
            yield File(kind="foreign", folder=number, name=path.name, id="")


def _unreadable(folder: Path, error: OSError) -> RescoreError:
    where = shown(str(error.filename or folder))
    return RescoreError(
        f"--frames {where}: cannot be read ({error.strerror}); let this user read it, or leave that station"
        " out"
    )
