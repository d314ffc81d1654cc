"""A real file system of a few megabytes in memory, where we may mount one (as root)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def may_mount(folder: Path) -> bool:
    try:
        with small_disk(folder, megabytes=1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[None]:
    """`folder` is a disk of its own in the block."""
    _call("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield
    finally:
        _call("umount", str(folder))


def enlarge(folder: Path, *, megabytes: int) -> None:
    """Somebody makes room."""
    _call("mount", "-o", f"remount,size={megabytes}m", str(folder))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
