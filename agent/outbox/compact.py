"""A file from before schema version 2 learns to shrink, once.

Whether pages go back to the disk is fixed when SQLite creates a file, and only VACUUM changes it: it
writes the file anew, which takes as long as that takes, and needs twice its size beside it meanwhile.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.outbox.file import FullError, connect, explained

INCREMENTAL = 2  # of PRAGMA auto_vacuum


def compact(path: Path, *, free_bytes: int) -> str | None:
    """Have the outbox at `path` shrink from now on; why that cannot be yet, or None.

    Cut at any moment, it has changed nothing. Raises OutboxError.
    """
    try:
        with closing(connect(path, synchronous="FULL")) as database:
            mode, pages, page_bytes = (
                int(database.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("auto_vacuum", "page_count", "page_size")
            )
            if mode == INCREMENTAL:
                return None
            needed = 2 * pages * page_bytes
            if free_bytes < needed:
                return _words(path, f"{free_bytes} of the {needed} bytes that it takes are free")
            database.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            database.execute("VACUUM")
    except sqlite3.Error as error:
        failure = explained(path, error)
        if isinstance(failure, FullError):  # SQLite's temporary folder may be on another disk
            return _words(path, str(error))
        raise failure from error
    return None


def _words(path: Path, why: str) -> str:
    return (
        f"{path}: an older agent made it, so it grows and never shrinks, and it could not be written anew "
        f"({why}); free space and restart the agent"
    )
