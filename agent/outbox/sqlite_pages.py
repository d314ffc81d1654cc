"""The pages of an SQLite file as they lie on the disk, for a file that SQLite itself cannot read any more.

Written after the file format document of SQLite 3; pages that the write-ahead log holds in a newer version
count in that version, as far as the log was committed. Nothing is locked: nobody may write meanwhile.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"SQLite format 3\0"
DEFAULT_PAGE_BYTES = 4096
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_WAL_HEAD = struct.Struct(">8I")
_FRAME_HEAD = struct.Struct(">6I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Numbered from 1. `in_log` has the place in the log of each page that is newer there.

    `unread` are the commits of the log, as the numbers of their pages, that lie behind a broken frame: SQLite
    takes the log to end there.
    """

    file: int
    log: int | None
    page_bytes: int
    count: int
    in_log: dict[int, int]
    unread: tuple[frozenset[int], ...]

    def page(self, number: int) -> bytes | None:
        """None for one that is not there, or that the disk does not give."""
        if not 1 <= number <= self.count:
            return None
        place = self.in_log.get(number)
        try:
            if place is not None and self.log is not None:
                found = os.pread(self.log, self.page_bytes, place)
            else:
                found = os.pread(self.file, self.page_bytes, (number - 1) * self.page_bytes)
        except OSError:  # a sector that cannot be read any more
            return None
        return found if len(found) == self.page_bytes else None


@contextmanager
def opened(path: Path) -> Iterator[Pages]:
    """Raises OSError when there is no such file."""
    with ExitStack() as closing:
        file = os.open(path, os.O_RDONLY)
        closing.callback(os.close, file)
        log = None
        beside = path.with_name(path.name + "-wal")
        if beside.exists():
            log = os.open(beside, os.O_RDONLY)
            closing.callback(os.close, log)
        page_bytes = _page_bytes(file, log)
        in_log, unread = ({}, ()) if log is None else _committed(log, page_bytes)
        whole = os.fstat(file).st_size // page_bytes
        yield Pages(
            file=file,
            log=log,
            page_bytes=page_bytes,
            count=max(whole, *in_log, 0),
            in_log=in_log,
            unread=unread,
        )


def _page_bytes(file: int, log: int | None) -> int:
    head = _read(file, 100, 0)
    if head.startswith(MAGIC) and len(head) == 100:
        said = int.from_bytes(head[16:18], "big")
        said = 65_536 if said == 1 else said
        if _is_page_size(said):
            return said
    if log is not None and len(head := _read(log, _WAL_HEAD.size, 0)) == _WAL_HEAD.size:
        magic, _, said, *_ = _WAL_HEAD.unpack(head)
        if magic in _WAL_MAGIC and _is_page_size(said):
            return int(said)
    return DEFAULT_PAGE_BYTES


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65_536 and size & (size - 1) == 0


def _committed(log: int, page_bytes: int) -> tuple[dict[int, int], tuple[frozenset[int], ...]]:
    """The place of the newest committed version of each page in the log, and the commits behind a break.

    SQLite takes nothing behind a frame that is broken. Here a sound frame behind it counts, too: each proves
    itself by the checksum of the one before it.
    """
    frame_bytes = _FRAME_HEAD.size + page_bytes
    heads = []
    for place in range(_WAL_HEAD.size, os.fstat(log).st_size - frame_bytes + 1, frame_bytes):
        head = _read(log, _FRAME_HEAD.size, place)
        if len(head) == _FRAME_HEAD.size:
            heads.append((place, _FRAME_HEAD.unpack(head)))
    if not heads:
        return {}, ()
    order, salts, before = _log_head(log)
    if salts is None:
        (salts, _), *_ = Counter(head[2:4] for _, head in heads).most_common(1)
    pending: dict[int, int] = {}
    committed: dict[int, int] = {}
    unread: list[frozenset[int]] = []
    broken = False
    for place, (number, size_after, *rest) in heads:
        salt, sums = (rest[0], rest[1]), (rest[2], rest[3])
        proven = before is not None and salt == salts and sums == _sums(log, place, page_bytes, before, order)
        before = sums
        if not proven:
            broken = True
            continue
        pending[number] = place + _FRAME_HEAD.size
        if size_after:
            committed |= pending
            unread += [frozenset(pending)] if broken else []
            pending = {}
    return committed, tuple(unread)


def _log_head(log: int) -> tuple[str, tuple[int, int] | None, tuple[int, int] | None]:
    """Byte order of the checksums, the log's salts and the checksum of its head; None where it is damaged."""
    head = _read(log, _WAL_HEAD.size, 0)
    if len(head) < _WAL_HEAD.size:
        return "<", None, None
    magic, _, _, _, salt_1, salt_2, sum_1, sum_2 = _WAL_HEAD.unpack(head)
    order = ">" if magic == _WAL_MAGIC[1] else "<"
    if magic not in _WAL_MAGIC or _checksum(head[:24], (0, 0), order) != (sum_1, sum_2):
        return "<", None, None
    return order, (salt_1, salt_2), (sum_1, sum_2)


def _sums(log: int, place: int, page_bytes: int, before: tuple[int, int], order: str) -> tuple[int, int]:
    frame = _read(log, _FRAME_HEAD.size + page_bytes, place)
    return _checksum(frame[_FRAME_HEAD.size :], _checksum(frame[:8], before, order), order)


def _checksum(data: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data[: len(data) // 4 * 4])
    for first, second in zip(words[::2], words[1::2], strict=False):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _read(file: int, size: int, place: int) -> bytes:
    try:
        return os.pread(file, size, place)
    except OSError:
        return b""
