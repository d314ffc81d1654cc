"""Right of way for the line: a process of ours stands still while a frame is judged, and shortly after.

Priorities are not enough: beside a process of the idle class that only spins on one of two cores, frames took
a quarter longer in the engine. Stopped while a frame is judged, it cost a twentieth. It stays so until the
frame's record is mostly durable, and where the line has no such gaps it runs beside so few frames that the
slowest in a hundred are hardly others.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

LEAST_SHARE = 0.02  # of its time, that the process runs beside a line which judges all the time
MOST_AHEAD_S = 0.5  # that it has run for too long: what it had while the line stood is not held against it
LINGER_S = 0.005  # after a frame, in which its record is committed


class RightOfWay:
    """Of all lines before processes that work beside them, all of which stand or run; from any thread."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._turn = threading.Condition()
        self._judging = 0
        self._judged = 0
        self._handles: set[int] = set()  # of the processes that give way
        self._since_s = self._due_s = 0.0  # due: that they have to run until they have had their share
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
                self._judged += 1
                if self._judging:
                    self._decide()
                elif self._stands:
                    self._turn.notify_all()

    @contextmanager
    def gives_way(self, process: int) -> Iterator[None]:
        """Have it stand still, all its threads, whenever frames are judged; it runs on when the block ends.

        Without a kernel that can do that (5.3) its priority is all.
        """
        try:
            handle = os.pidfd_open(process)  # a number may be another's by the time of a signal
        except OSError:
            yield
            return
        try:
            with self._turn:
                if not self._handles:
                    self._since_s = self._monotonic_s()
                    self._due_s = 0.0
                elif self._stands:
                    _send(handle, signal.SIGSTOP)
                self._handles.add(handle)
                self._decide()
            letting_run = threading.Thread(target=self._let_run, args=(handle,), name="way", daemon=True)
            letting_run.start()
            yield
        finally:
            with self._turn:
                _send(handle, signal.SIGCONT)
                self._handles.remove(handle)
                self._stands = self._stands and bool(self._handles)
                self._turn.notify_all()
            letting_run.join()
            os.close(handle)

    def _let_run(self, handle: int) -> None:
        """Whenever no frame has been judged for a moment."""
        with self._turn:
            while handle in self._handles:
                if not self._stands or self._judging:
                    self._turn.wait()
                    continue
                judged = self._judged
                self._turn.wait(LINGER_S)
                if handle in self._handles and not self._judging and self._judged == judged:
                    self._decide()

    def _decide(self) -> None:
        if not self._handles:
            return
        now_s = self._monotonic_s()
        went_s, self._since_s = now_s - self._since_s, now_s
        ran_s = 0.0 if self._stands else went_s
        self._due_s = max(-MOST_AHEAD_S, self._due_s + LEAST_SHARE * went_s - ran_s)
        stands = self._judging > 0 and self._due_s <= 0
        if stands != self._stands:
            self._stands = stands
            for handle in self._handles:
                _send(handle, signal.SIGSTOP if stands else signal.SIGCONT)


def _send(handle: int, number: signal.Signals) -> None:
    with suppress(OSError):  # it has ended
        signal.pidfd_send_signal(handle, number)
