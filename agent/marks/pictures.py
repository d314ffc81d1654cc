"""The picture of a marked result, as the archive keeps it."""

from __future__ import annotations

from pathlib import Path

from agent.archive import entry, files
from agent.archive.entry import Entry, EntryError
from agent.contract.mark import Mark


def entry_of(archive: Path, mark: Mark) -> Entry | None:
    """With map and verdict, beside a running agent; None where it is not kept any more, or is damaged."""
    try:
        return entry.read(files.place(archive, mark.result_id, mark.result_created))
    except (EntryError, ValueError):
        return None
