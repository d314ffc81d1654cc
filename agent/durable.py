"""Files and names that are on the disk when a call returns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

READABLE, PRIVATE = 0o644, 0o640  # private: what may hold logins, such as a camera's


def write_file(path: Path, pieces: Iterable[bytes], *, mode: int = READABLE) -> None:
    """A file of our own with these bytes, in place of one of ours. Raises OSError and what `pieces` does."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, os.fstat(descriptor).st_mode & mode)  # one that was left there had its own
        for piece in pieces:
            write_all(descriptor, piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, pieces: Iterable[bytes], *, mode: int = READABLE) -> None:
    """A file of our own, whole and for good when this returns. Raises OSError; then the one before stands."""
    unfinished = unfinished_of(path)
    try:
        write_file(unfinished, pieces, mode=mode)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_folder(path.parent)


def replace_link(path: Path, at: str | None) -> None:
    """Have a link of our own name `at`, at once and for good; None removes it. Raises OSError."""
    if at is None:
        path.unlink()
    else:
        unfinished = unfinished_of(path)
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(at)
        unfinished.replace(path)
    sync_folder(path.parent)


def unfinished_of(path: Path) -> Path:
    """The name under which something is made that is to have this one; hidden, and beside it."""
    return path.with_name(f".{path.name.removeprefix('.')}.part")


def write_all(descriptor: int, content: bytes) -> None:
    """All of it, however much a call takes. Raises OSError."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_file(path: Path) -> None:
    """What was written into it by whomever stays. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Names in it stay as they are now. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
