"""Room on a full disk, where the index can note nothing: entries go by their files alone."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.archive import entry, files
from agent.archive.chunks import Torn
from agent.archive.entry import NotOurs
from agent.archive.index import RANKS, Order

FULL = (errno.ENOSPC, errno.EDQUOT)
INDEX_BYTES = 1 << 18  # without so much the index cannot be written


def take_room(folder: Path, order: Order, size: int, free_bytes: Callable[[Path], int]) -> int:
    """See that the folder takes a file of `size` bytes and an index; how many entries made room for that.

    Raises OSError, for a full disk only where our own entries are not what fills it.
    """
    size = max(size, INDEX_BYTES)
    try:
        files.take_room(folder, size)
    except OSError as error:
        lacking = size - free_bytes(folder)
        if error.errno not in FULL or lacking <= 0:
            raise
        gone = _make_room(folder, order, lacking)
        files.take_room(folder, size)
        return gone
    return 0


def _make_room(folder: Path, order: Order, lacking: int) -> int:
    """Remove entries without a mark, the first to go first, that have so many bytes; how many they were.

    0, with nothing removed, where all of them have less. The index learns of it when it is opened.
    """
    able = sorted(_those_that_may_go(folder, order))
    if sum(size for *_, size in able) < lacking:
        return 0
    gone = 0
    for _, _, path, size in able:
        files.remove(path)
        gone, lacking = gone + 1, lacking - size
        if lacking <= 0:
            break
    return gone


def _those_that_may_go(folder: Path, order: Order) -> Iterator[tuple[int, str, Path, int]]:
    """By what they are sorted, their file and its size; what cannot be read is left to the next opening."""
    for file in files.scan(folder):
        path = files.path_of(folder, file)
        try:
            head = entry.read_head(path)
        except (Torn, NotOurs):
            continue
        if head.mark is None:
            yield RANKS[head.verdict] if order == "rejects" else 0, head.created, path, file.size
