"""A crash of the process leaves the stacks of all its threads, and the next start says where.

SIGABRT is what systemd sends to an agent whose watchdog starved; a segmentation fault is a library's. Without
a folder for logs the stacks go to standard error, which is the journal.
"""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

KEPT_BYTES = 1_000_000
TOLD_LINES = 12

log = structlog.get_logger()


def keep(environment: Mapping[str, str]) -> None:
    """From now on; tells of a crash before, whose stacks are then moved to `crash.log.before`."""
    if sys.__stderr__ is not None:  # closed before the start
        faulthandler.enable(sys.__stderr__)
    folder = environment.get("LOGS_DIRECTORY")
    if not folder:
        return
    file = Path(folder) / "crash.log"
    try:
        _tell_of(file)
        faulthandler.enable(file.open("a", encoding="utf-8"))
    except OSError as error:
        log.warning("crashes_not_kept", file=str(file), reason=error.strerror)


def _tell_of(file: Path) -> None:
    if not file.exists() or not file.stat().st_size:
        return
    before = file.with_name(f"{file.name}.before")
    stacks = file.read_bytes()[:KEPT_BYTES].decode(errors="replace").splitlines()
    file.replace(before)
    log.error("crashed_before", stacks=stacks[:TOLD_LINES], file=str(before))
