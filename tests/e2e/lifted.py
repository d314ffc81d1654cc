"""What takes only the processor that nobody else wants is given its turn: a whole suite leaves it none.

Proofs, replays and explanations have the lowest priority (`agent/remote/proof/low.py`),
and the agents that wait for them judge on meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOOK_S = 0.5


@contextmanager
def lifted() -> Iterator[None]:
    """What this process and its children start runs at this one's priority, where the machine allows it."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_S):
            for one in _descendants(os.getpid()):
                _lift(one)

    thread = threading.Thread(target=look, name="lifted")
    thread.start()
    yield
    ended.set()
    thread.join()


def _descendants(pid: int) -> Iterator[int]:
    for child in [int(word) for task in _tasks(pid) for word in _read(task / "children").split()]:
        yield child
        yield from _descendants(child)


def _lift(pid: int) -> None:
    for task in _tasks(pid):
        with suppress(OSError):  # it has ended, or only root may
            if os.sched_getscheduler(int(task.name)) == os.SCHED_IDLE:
                os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))
                os.setpriority(os.PRIO_PROCESS, int(task.name), os.getpriority(os.PRIO_PROCESS, 0))


def _tasks(pid: int) -> list[Path]:
    with suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""
