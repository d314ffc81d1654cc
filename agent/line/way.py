"""Right of way for the line: a process of ours stands still while a frame is judged.

Priorities are not enough: beside a process of the idle class that only spins on one of two cores, frames took
a quarter longer in the engine. Stopped while a frame is judged, it cost a twentieth.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

LEAST_SHARE = 0.05  # of its time, that the process runs beside a line which judges all the time


class RightOfWay:
    """Of all lines before one process at a time; from any thread."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._turn = threading.Lock()
        self._judging = 0
        self._handle: int | None = None  # of the process that gives way
        self._began_s = self._since_s = self._ran_s = 0.0
        self._stands = False

    @contextmanager
    def judging(self) -> Iterator[None]:
        """A frame is in the block."""
        with self._turn:
            self._judging += 1
            self._decide()
        try:
            yield
        finally:
            with self._turn:
                self._judging -= 1
                self._decide()

    @contextmanager
    def gives_way(self, process: int) -> Iterator[None]:
        """Have it stand still, all its threads, whenever frames are judged; it runs on when the block ends.

        No other process does so meanwhile. Without a kernel that can do that (5.3) its priority is all.
        """
        try:
            handle = os.pidfd_open(process)  # a number may be another's by the time of a signal
        except OSError:
            yield
            return
        try:
            with self._turn:
                self._handle = handle
                self._began_s = self._since_s = self._monotonic_s()
                self._ran_s, self._stands = 0.0, False
                self._decide()
            yield
        finally:
            with self._turn:
                self._send(signal.SIGCONT)
                self._handle = None
            os.close(handle)

    def _decide(self) -> None:
        if self._handle is None:
            return
        now_s = self._monotonic_s()
        if not self._stands:
            self._ran_s += now_s - self._since_s
        self._since_s = now_s
        has_run = self._ran_s >= LEAST_SHARE * (now_s - self._began_s)
        stands = self._judging > 0 and has_run
        if stands != self._stands:
            self._stands = stands
            self._send(signal.SIGSTOP if stands else signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._handle is not None:
            with suppress(OSError):  # it has ended
                signal.pidfd_send_signal(self._handle, number)
