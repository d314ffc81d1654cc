"""Threads that live and die together: the first failure stops all, and is raised where they were started."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.errors import PlumblineError

log = structlog.get_logger()

JOIN_TIMEOUT_S = 10.0


class CrewError(PlumblineError):
    """A thread did not come home in time."""


def name_threads() -> None:
    """Have `top -H` and `ps -L` show the names of this process's threads; Linux keeps 15 characters."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():  # whose name is the process's
            with suppress(OSError):  # it ended
                Path(f"/proc/self/task/{thread.native_id}/comm").write_text(thread.name)


@dataclass(slots=True)
class Crew:
    """Members run until `stop` is set; each gets the event and must look at it at least once a second."""

    stop: threading.Event = field(default_factory=threading.Event)
    join_timeout_s: float = JOIN_TIMEOUT_S
    waits: int = 0  # of who waits for it
    _woken: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failure: BaseException | None = None

    def start(self, name: str, run: Callable[[threading.Event], None]) -> None:
        """Start a member; when `run` raises, everybody is stopped."""
        thread = threading.Thread(target=self._watch, args=(name, run), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop_on_signals(self) -> threading.Event:
        """Have SIGINT and SIGTERM set `stop`, from the main thread; the answer is set once one came."""
        asked = threading.Event()

        def stop(*_: object) -> None:
            asked.set()
            self.stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        return asked

    def wait(self, timeout_s: float) -> None:
        """Until somebody fails or wakes who waits, or the time is over: a `stop` that is set is seen then.

        A signal's handler, in this very thread, may set `stop` and must not wake.
        """
        self.waits += 1
        if not self.stop.is_set():
            self._woken.wait(timeout_s)
            self._woken.clear()

    def wake(self) -> None:
        """There is something to be looked at; from any other thread."""
        self._woken.set()

    def is_alive(self, name: str) -> bool:
        return any(thread.name == name and thread.is_alive() for thread in self._threads)

    def dismiss(self) -> None:
        """Stop everybody, last started first, and raise the first failure.

        Raises CrewError naming a thread that does not end within `join_timeout_s` of being waited for.
        """
        self.stop.set()
        late = []
        for thread in reversed(self._threads):
            thread.join(self.join_timeout_s)
            if thread.is_alive():
                late.append(thread.name)
        if self._failure is not None:
            raise self._failure
        if late:
            raise CrewError(f"threads {', '.join(late)} did not stop within {self.join_timeout_s:g} s")

    def _watch(self, name: str, run: Callable[[threading.Event], None]) -> None:
        try:
            run(self.stop)
        except BaseException as error:
            log.error("thread_failed", thread=name, error=str(error), kind=type(error).__name__)
            if self._failure is None:
                self._failure = error
            self.stop.set()
            self.wake()
