"""Marks read beside a running agent, from any process; nothing is written. Damage costs what it hit alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.foreign import shown
from agent.marks.file import (
    BUSY_TIMEOUT_S,
    Found,
    MarksError,
    Wanted,
    check_own,
    explained,
    found_in,
    saved_from,
)

NAME = "marks.sqlite3"


def place(outbox: Path) -> Path:
    """Where a station with its outbox there has its marks."""
    return outbox.with_name(f"{outbox.name}-{NAME}")


def newest(path: Path, wanted: Wanted | None = None) -> Found:
    """Those that hold, or as wanted, newest first; none where nobody has marked yet. Raises MarksError."""
    if not path.exists():
        return Found(marks=(), damaged=0)
    address = f"{path.resolve().as_uri()}?mode=ro"
    with (
        explained(path),
        closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)) as database,
    ):
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            raise MarksError(f"{shown(str(path))}: there are no marks in it; start the agent once")
        check_own(database, path, version)
        asked = Wanted() if wanted is None else wanted
        try:
            return found_in(database, asked)
        except sqlite3.DatabaseError as error:
            if "malformed" not in str(error):
                raise
            return saved_from(database, asked)
