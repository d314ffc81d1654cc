"""Compiled engines on disk, one file each: whole or not at all, ours or not used.

Deserialising an engine runs what stands in it, so the folder is private and a file that another user
owns or may write is refused. What is damaged or refused is deleted and built again, never trusted.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import structlog

from agent.durable import sync_folder
from agent.engines.cache_entry import Entry, EntryDamaged, Key, decode, encode, read_header
from agent.engines.engine import EngineError

log = structlog.get_logger()

PARTIAL = ".partial"
ASIDE = ".not-ours"
PARTIAL_AGE_S = 3600.0  # older ones are left by a process that died
HEADER_BYTES = 65_536

Opened = TypeVar("Opened")


class CacheError(EngineError):
    """The folder cannot be read or written; says why."""


class NotCompiled(EngineError):
    """There is no compiled engine to load, and compiling it here and now was not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One file of the folder, for people; `damage` says why it will not be used."""

    path: Path
    size_bytes: int
    used: float  # seconds since the epoch
    bundle: str
    engine: str
    runtime: str
    device: str
    precision: str
    build_s: float
    damage: str | None
    bundle_sha256: str = ""


class EngineCache:
    """A folder of engines up to `max_bytes`; the one that was not used for longest makes room."""

    def __init__(self, folder: Path, max_bytes: int, *, protected: Collection[str] = ()) -> None:
        """`protected` are digests of bundles whose engines another process serves by: they are only read."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._protected = protected
        self.trouble: str | None = None  # the last problem, one sentence

    def load(self, key: Key) -> Entry | None:
        """What was stored under `key`; None when nothing was. Raises EntryDamaged, CacheError."""
        path = self._folder / key.file_name()
        try:
            with _opened(path) as file:
                if os.fstat(file.fileno()).st_size > self._max_bytes:
                    raise EntryDamaged("it is larger than engine.cache_max_bytes")
                entry = decode(file.read(), key)
                os.utime(file.fileno())
        except FileNotFoundError:
            return None
        except EntryDamaged as error:
            raise EntryDamaged(f"{path}: not ours: {error}; it is built anew") from None
        except OSError as error:
            raise CacheError(f"{path}: cannot be read: {error.strerror}; engines are built anew") from error
        return entry

    def store(self, key: Key, entry: Entry) -> None:
        """Keep an engine; after a crash there is the old file, the new one or none. Raises CacheError."""
        if key.bundle_sha256 in self._protected:
            return
        path = self._folder / key.file_name()
        data = encode(key, entry)
        if len(data) > self._max_bytes:
            raise CacheError(
                f"{path}: {len(data)} bytes are more than the cache may hold; raise engine.cache_max_bytes"
            )
        kept = self._protected_bytes()
        if len(data) + kept > self._max_bytes:
            raise CacheError(
                f"{path}: {len(data)} bytes do not fit beside the {kept} of what serves; raise "
                "engine.cache_max_bytes"
            )
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)  # not its parents: a disk may not be mounted
            self._write(path, data)
            self.prune(keep=path)
        except OSError as error:
            raise CacheError(
                f"{path}: cannot be written: {error.strerror}; every start builds the engine again"
            ) from error

    def discard(self, key: Key) -> None:
        """Make room for a new engine; a folder in its place may hold what is not ours, and is moved aside."""
        if key.bundle_sha256 in self._protected:
            return
        path = self._folder / key.file_name()
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rename(path.with_suffix(ASIDE))
            else:
                path.unlink()

    def entries(self) -> list[Listed]:
        """Every engine in the folder, last used first."""
        found = []
        for path in self._engines():
            with suppress(FileNotFoundError):  # another process may prune
                found.append(_listed(path))
        return sorted(found, key=lambda one: one.used, reverse=True)

    def prune(self, *, keep: Path | None = None, max_bytes: int | None = None) -> list[Path]:
        """Delete what is damaged, then what was not used for longest until the rest fits.

        Returns what was deleted. What cannot be deleted, such as a folder, stays in `entries`.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        gone = []
        for path in self._folder.glob(f"*{PARTIAL}"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > PARTIAL_AGE_S:
                    gone.append(path)
        limit -= self._protected_bytes()
        listed = [one for one in self.entries() if one.bundle_sha256 not in self._protected]
        gone += [one.path for one in listed if one.damage]
        left = [one for one in listed if not one.damage]
        size = sum(one.size_bytes for one in left)
        for one in reversed(left):
            if size > limit and one.path != keep:
                gone.append(one.path)
                size -= one.size_bytes
        return [path for path in gone if _deleted(path)]

    def _write(self, path: Path, data: bytes) -> None:
        handle, name = tempfile.mkstemp(suffix=PARTIAL, prefix=f"{path.stem}-", dir=self._folder)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)

    def _protected_bytes(self) -> int:
        if not self._protected:
            return 0
        return sum(one.size_bytes for one in self.entries() if one.bundle_sha256 in self._protected)

    def _engines(self) -> list[Path]:
        return sorted(self._folder.glob("*.engine"))


def open_cached(
    cache: EngineCache | None,
    key: Key,
    *,
    build: Callable[[], Mapping[str, bytes]],
    load: Callable[[Entry, bool], Opened],
    may_build: bool = True,
) -> Opened:
    """The engine from the cache, or built and stored.

    `load` makes an engine of an entry and proves it; the flag says whether it came from the cache. When it
    raises EngineError on a cached entry, the entry is deleted and built anew. Raises NotCompiled where that
    may not be.
    """
    entry = None if cache is None else _cached(cache, key)
    if entry is not None:
        try:
            return load(entry, True)
        except (EngineError, KeyError) as error:  # KeyError: its parts have other names
            assert cache is not None
            cache.discard(key)
            _note(cache, f"{key.file_name()}: did not prove itself: {error}; it is built anew")
    if not may_build:
        raise NotCompiled(f"{key.file_name()}: there is no compiled engine that can be used")
    started = time.monotonic()
    parts = build()
    entry = Entry(parts=parts, build_s=round(time.monotonic() - started, 3))
    opened = load(entry, False)  # proven before it is kept
    if cache is not None:
        try:
            cache.store(key, entry)
            cache.trouble = None
        except CacheError as error:
            _note(cache, str(error))
    return opened


def is_cached(cache: EngineCache, key: Key) -> bool:
    """Whether a whole entry is there; a damaged one is deleted."""
    return _cached(cache, key) is not None


def _cached(cache: EngineCache, key: Key) -> Entry | None:
    try:
        return cache.load(key)
    except EntryDamaged as error:
        cache.discard(key)
        _note(cache, str(error))
    except CacheError as error:
        _note(cache, str(error))
    return None


def _note(cache: EngineCache, words: str) -> None:
    cache.trouble = words
    log.warning("engine_cache_trouble", words=words)


def _deleted(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _opened(path: Path) -> BinaryIO:
    """A file of ours, open to read. Raises EntryDamaged for what is not, OSError."""
    try:
        # Not through a link, and without waiting for the other end of a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise EntryDamaged("it is a link or no file") from None
        raise
    try:
        _refuse_foreign(os.fstat(handle))
    except EntryDamaged:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _refuse_foreign(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise EntryDamaged("it is no file")
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EntryDamaged("another user owns it or may write it")


def _listed(path: Path) -> Listed:
    damage = None
    key: dict[str, str] = {}
    build_s = 0.0
    status = path.lstat()
    try:
        with _opened(path) as file:
            status = os.fstat(file.fileno())
            header, size = read_header(file.read(HEADER_BYTES))
        key, build_s = header["key"], header["build_s"]
        if status.st_size != size:
            damage = f"{status.st_size} bytes in place of {size}"
    except EntryDamaged as error:
        damage = str(error)
    except FileNotFoundError:
        raise
    except OSError as error:
        damage = f"it cannot be read: {error.strerror}"
    return Listed(
        path=path,
        size_bytes=status.st_size,
        used=status.st_mtime,
        bundle=key.get("bundle", "-"),
        engine=key.get("engine", "-"),
        runtime=key.get("runtime", "-"),
        device=key.get("device", "-"),
        precision=key.get("precision", "-"),
        build_s=build_s,
        damage=damage,
        bundle_sha256=key.get("bundle_sha256", ""),
    )
