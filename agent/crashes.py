"""A crash of the process leaves the stacks of all its threads, and the next start says where.

SIGABRT is what systemd sends to an agent whose watchdog starved; a segmentation fault is a library's. Other
threads run on while their stacks are read, so that the reading itself may end early in a segmentation
fault: what was written before stays. Without a folder for logs the stacks go to standard error, which is
the journal.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import sys
from pathlib import Path

import structlog

KEPT_BYTES = 1_000_000
TOLD_LINES = 12

log = structlog.get_logger()


def say() -> None:
    """From now on, on standard error."""
    if sys.__stderr__ is not None:  # closed before the start
        faulthandler.enable(sys.__stderr__)


def keep_in(folder: Path) -> None:
    """From now on, in crash.log there; a crash before is told, and its stacks moved to crash.log.before."""
    file = folder / "crash.log"
    try:
        if file.exists() and not file.is_file():
            raise OSError(errno.EINVAL, "no regular file")
        _tell_of(file)
        faulthandler.enable(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640))
    except OSError as error:
        log.warning("crashes_not_kept", file=str(file), reason=error.strerror)


def _tell_of(file: Path) -> None:
    if not file.exists() or not file.stat().st_size:
        return
    before = file.with_name(f"{file.name}.before")
    stacks = file.read_bytes()[:KEPT_BYTES].decode(errors="replace").splitlines()
    file.replace(before)
    log.error("crashed_before", stacks=stacks[:TOLD_LINES], file=str(before))
