"""Which sequence numbers may have been given, in a file beside the outbox that only a lost outbox needs.

The outbox itself knows its last sequence. Should nothing of it be left, its successor goes on behind the
numbers that were reserved here, some thousands at a time, so that no number is ever given twice.
"""

from __future__ import annotations

import os
from pathlib import Path

AHEAD = 5000


def beside(path: Path) -> Path:
    return path.with_name(path.name + ".sequence")


def read(path: Path) -> int:
    """Up to which sequence the outbox at `path` may have given numbers; 0 where nothing says so."""
    try:
        return max(0, int(beside(path).read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 0


class Reserve:
    """Held open, so that a process without a file to spare can still write it. For one thread."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._reserved = 0

    def cover(self, sequence: int) -> None:
        """Before `sequence` is given. Raises OSError when the disk does not take it."""
        if sequence <= self._reserved:
            return
        reserved = sequence + AHEAD
        os.pwrite(self._file, b"%020d\n" % reserved, 0)
        os.fsync(self._file)
        self._reserved = reserved

    def close(self) -> None:
        os.close(self._file)
