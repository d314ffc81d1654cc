"""The index brought up to the files that there are, after a crash or for a folder that others changed."""

from __future__ import annotations

from pathlib import Path

import structlog

from agent.archive import entry, files
from agent.archive.chunks import Torn
from agent.archive.entry import NotOurs
from agent.archive.index import Index
from agent.foreign import shown

log = structlog.get_logger(__name__)


def reconcile(folder: Path, index: Index) -> tuple[Path, ...]:
    """Have in the index what is in the files, and nothing else; day by day, for there may be many.

    Torn entries are set aside. The answer are files that are named as entries and are not ours; they are left
    alone. Raises OSError and sqlite3.Error.
    """
    files.sweep(folder)
    foreign: list[Path] = []
    for day in sorted({*files.days(folder), *index.days()}):
        with index.change():
            foreign += _of_day(folder, index, day)
    return tuple(foreign)


def _of_day(folder: Path, index: Index, day: str) -> list[Path]:
    """The files that are not ours."""
    known = index.of_day(day)
    foreign = []
    for file in files.of_day(folder, day):
        if known.get(file.id) == file:
            del known[file.id]
            continue
        path = files.path_of(folder, file)
        try:
            head = entry.read_head(path)
            if files.place(folder, head.id, head.created) != path:
                raise NotOurs(f"it is the entry {shown(head.id)} under another name")
        except Torn as error:
            log.warning("archive_entry_torn", file=str(path), reason=str(error))
            files.set_aside(folder, path)
        except (NotOurs, ValueError) as error:
            log.warning("archive_foreign_file", file=str(path), reason=str(error))
            foreign.append(path)
        else:
            index.add(head, file)
            known.pop(file.id, None)
    index.forget(list(known))
    return foreign
