"""The archive's folder: entries, their index and their bounds, held by one agent. Calls wait for the disk.

A crash between any two steps leaves whole entries only; `open` brings the index up to the files there are.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent import durable
from agent.archive import blind, bounds, entry, files
from agent.archive.chunks import Torn
from agent.archive.entry import Entry, Head, NotOurs
from agent.archive.faults import ArchiveError, NoRoomError, explained, unknown
from agent.archive.files import File
from agent.archive.index import MARKED, NAME, RANKS, ForeignIndexError, Index, Kept, Query, Totals
from agent.archive.reconcile import reconcile
from agent.archive.record import Mark
from agent.clock import Clock, Steps
from agent.contract.verdict import Verdict
from agent.settings import archive as settings

LOCK = "plumbline-archive.lock"
AT_ONCE = 64  # entries that go between two looks at the disk

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What `open` found besides sound entries."""

    foreign: tuple[Path, ...]  # named as entries, of another version or origin: left alone, not counted
    torn: int  # set aside, now or before


class Shelf:
    """Safe from any thread once it is open."""

    def __init__(
        self,
        folder: Path,
        limits: settings.Archive,
        *,
        clock: Clock,
        disk_free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self.folder = folder
        self._limits = limits
        self._clock = clock
        self._steps = Steps(clock)
        self._disk_free_bytes = disk_free_bytes
        self._turn = threading.Lock()  # to change files and index
        self._index: Index | None = None
        self._used = 0
        self._entries = 0
        self._evicted = 0

    @property
    def is_open(self) -> bool:
        return self._index is not None

    @property
    def size_bytes(self) -> int:
        """Of entries and index."""
        index = self._index
        return self._used + (0 if index is None else index.size_bytes())

    @property
    def entries(self) -> int:
        return self._entries

    @property
    def evicted(self) -> int:
        """How many entries made room since the start."""
        return self._evicted

    def open(self, *, need_bytes: int = 0) -> Opened:
        """Make the folder where there is none, and know what is in it.

        Raises ArchiveError, also when the disk does not take a file of `need_bytes`.
        """
        with self._turn, self._explained():
            self.folder.mkdir(exist_ok=True)  # not its parents: a disk may not be mounted
            lock = _lock(self.folder)
            try:
                order, free = self._limits.keep_longest, self._disk_free_bytes
                self._evicted += blind.take_room(self.folder, order, need_bytes, free)
                index = Index(self.folder / NAME)
                index.open()
                try:
                    opened = self._reconcile(index)
                except BaseException:
                    index.close()
                    raise
            except BaseException:
                os.close(lock)
                raise
            self._lock, self._index = lock, index
            return opened

    def rebuild(self) -> Opened:
        """As `open`, with an index that is made anew whatever is wrong with it. Raises ArchiveError."""
        self.open()
        self.close()
        with self._explained():
            (self.folder / NAME).unlink()
        return self.open()

    def close(self) -> None:
        with self._turn:
            index, self._index = self._index, None
            if index is None:
                return
            try:
                with suppress(sqlite3.Error):  # of a disk that is gone
                    index.close()
            finally:
                os.close(self._lock)

    def look_again(self, opened: Opened) -> Opened:
        """The same, less what somebody has removed since."""
        foreign = tuple(path for path in opened.foreign if path.exists())
        return Opened(foreign=foreign, torn=files.torn(self.folder))

    def put(self, head: Head, pieces: list[bytes | memoryview]) -> bool:
        """Keep an entry, after making room for it; False where all there is stays longer than it would.

        Raises NoRoomError when nothing without a mark is left to go, ArchiveError for what else prevents
        work, and ValueError for an id or time that cannot be part of a name.
        """
        path = files.place(self.folder, head.id, head.created)
        coming = sum(map(len, pieces))
        with self._changing() as index:
            if not self._make_room(index, coming, RANKS[head.verdict]):
                return False
            before = index.get(head.id)
            file = files.put(path, pieces)
            with index.change():
                index.add(head, file)
            self._used += file.size - (0 if before is None else before.file.size)
            self._entries += before is None
            return True

    def has_room(self, size: int) -> bool:
        """For something of `size` bytes, with nothing going. Raises ArchiveError."""
        with self._changing() as index:
            return not self._lacking(index, size)

    def mark(self, id_: str, mark: Mark | None) -> Kept:
        """Say something of an entry in the place of what was said before, or take it back; durable.

        Raises ArchiveError.
        """
        with self._changing() as index:
            kept = index.get(id_)
            if kept is None:
                raise unknown(id_)
            path = self.folder / kept.path
            try:
                pieces = entry.marked(path.read_bytes(), mark)
                file = files.put(path, pieces)
                durable.sync_folder(path.parent)
                head = entry.read_head(path)
            except (Torn, NotOurs) as error:
                raise ArchiveError(f"{path}: {error}; nothing of it can be relied on") from error
            with index.change():
                index.add(head, file)
            self._used += file.size - kept.file.size
            self._let_go(index, self._over(index), MARKED, "max_bytes")
            return Kept(head=head, file=file)

    def tidy(self) -> bool:
        """Let go of some of what is over the bounds; whether there is more. Raises ArchiveError."""
        with self._changing() as index:
            now = self._clock.utc_now()
            kept_from = bounds.oldest(self._limits, now)
            old = [] if self._steps.lately(now) else index.older_than(kept_from, AT_ONCE)
            self._remove(index, old, "days")
            gone = self._let_go(index, self._over(index), MARKED + 1, "max_bytes")  # marks: only for this
            short = bounds.short(self._limits, self._disk_free_bytes(self.folder), 0)
            gone += self._let_go(index, short, MARKED, "min_free_bytes")
            return len(old) == AT_ONCE or gone >= AT_ONCE

    def get(self, id_: str) -> Kept | None:
        """Raises ArchiveError."""
        with self._explained():
            return self._opened().get(id_)

    def find(self, query: Query) -> list[Kept]:
        """Raises ArchiveError."""
        with self._explained():
            return self._opened().find(query)

    def labels(self) -> list[str]:
        """Of defects of all entries. Raises ArchiveError."""
        with self._explained():
            return self._opened().labels()

    def totals(self) -> Totals:
        """Raises ArchiveError."""
        with self._explained():
            return self._opened().totals()

    def verdict(self, id_: str) -> Verdict | None:
        """As it was recorded; None where there is no entry. Raises ArchiveError, and EntryError as `read`."""
        kept = self.get(id_)
        if kept is None:
            return None
        try:
            return entry.read_verdict(self.folder / kept.path)
        except OSError as error:
            raise explained(self.folder, error) from error

    def read(self, id_: str) -> Entry:
        """Raises ArchiveError, and EntryError for a file that is not as it was written."""
        kept = self.get(id_)
        if kept is None:
            raise unknown(id_)
        return entry.read(self.folder / kept.path)

    def _reconcile(self, index: Index) -> Opened:
        foreign = reconcile(self.folder, index)
        totals = index.totals()
        self._used, self._entries = totals.size_bytes, totals.entries
        log.info("archive_open", folder=str(self.folder), entries=self._entries, size_bytes=self._used)
        return Opened(foreign=foreign, torn=files.torn(self.folder))

    def _make_room(self, index: Index, coming: int, rank: int) -> bool:
        """Whether there is room now for something of a rank. Raises NoRoomError."""
        while lacking := self._lacking(index, coming):
            if not self._let_go(index, lacking, rank + 1, "room"):
                if index.first_to_go(self._limits.keep_longest, below_rank=MARKED, limit=1):
                    return False
                raise NoRoomError(
                    f"{self.folder}: nothing is left in it that may go, and {lacking} bytes are lacking;"
                    " raise archive.max_bytes, free space on its disk (archive.min_free_bytes), or take marks"
                    " back"
                )
        return True

    def _over(self, index: Index, coming: int = 0) -> int:
        return bounds.over(self._limits, self._used + index.size_bytes(), coming)

    def _lacking(self, index: Index, coming: int) -> int:
        free = self._disk_free_bytes(self.folder)
        return max(self._over(index, coming), bounds.short(self._limits, free, coming))

    def _let_go(self, index: Index, size: int, below_rank: int, bound: str) -> int:
        """Remove the first to go until they have `size` bytes or are AT_ONCE; how many they were."""
        going: list[File] = []
        if size <= 0:
            return 0
        for file in index.first_to_go(self._limits.keep_longest, below_rank=below_rank, limit=AT_ONCE):
            if size <= 0:
                break
            going.append(file)
            size -= file.size
        self._remove(index, going, bound)
        return len(going)

    def _remove(self, index: Index, going: list[File], bound: str) -> None:
        if not going:
            return
        for file in going:
            files.remove(files.path_of(self.folder, file))
        with index.change():
            index.forget([file.id for file in going])
        size = sum(file.size for file in going)
        self._used -= size
        self._entries -= len(going)
        self._evicted += len(going)
        log.debug("archive_evicted", entries=len(going), size_bytes=size, bound=bound, last=going[-1].id)

    def _opened(self) -> Index:
        index = self._index
        if index is None:
            raise ArchiveError(f"{self.folder}: the archive is not open; the station's health says why")
        return index

    @contextmanager
    def _changing(self) -> Iterator[Index]:
        with self._turn, self._explained():
            index = self._opened()
            if not self._is_in_place():
                raise ArchiveError(f"{self.folder}: another folder took its place; it is opened anew")
            yield index

    def _is_in_place(self) -> bool:
        """Whether the folder is the one that was opened: a disk may be mounted over it."""
        self.folder.stat()  # one that is gone says so itself
        held = os.fstat(self._lock)
        try:
            found = (self.folder / LOCK).stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ForeignIndexError) as error:
            is_full = "disk is full" in str(error)
            remedy = "free space on that disk" if is_full else "move it away, it is made anew"
            raise ArchiveError(f"{self.folder / NAME}: {error}; {remedy}") from error
        except OSError as error:
            raise explained(self.folder, error) from error


def _lock(folder: Path) -> int:
    """Keep other agents off the folder until the answer is closed. Raises ArchiveError when one has it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ArchiveError(f"{folder}: another agent has it; stop that one or set archive.folder") from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
