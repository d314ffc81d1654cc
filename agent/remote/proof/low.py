"""The lowest priority that a process can give itself: the line always comes first."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from contextlib import suppress
from pathlib import Path

DIE_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG
NICENESS = 19
CORES_SHARE = 4  # of the cores it may use, one in so many
FIRST_TO_GO = "1000"  # when memory runs out, in place of the line
IDLE_DISK = 3 << 13  # ioprio_set(2), IOPRIO_CLASS_IDLE
IOPRIO_SET = {"x86_64": 251, "aarch64": 30}


def be_low(parent: int) -> None:
    """For this process and the threads that it starts from now on; ends it where its parent has gone.

    To be called before anything that starts threads is imported. What the machine does not allow is left.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that call
        sys.exit(1)
    os.setpgid(0, 0)  # Ctrl-C is for the parent, which ends us with all that we start
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-cores(len(allowed)) :])
    if (number := IOPRIO_SET.get(platform.machine())) is not None:
        libc.syscall(number, 1, 0, IDLE_DISK)


def cores(there: int) -> int:
    """How many of so many."""
    return max(1, there // CORES_SHARE)
