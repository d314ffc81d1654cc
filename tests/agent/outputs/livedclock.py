"""A clock for a whole station that stands while a loaded machine lets none of its threads run."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from agent.clock import SystemClock
from tests.lived import LONGEST_TICK_S, TICK_S


class LivedClock(SystemClock):
    """`with LivedClock() as clock`: it runs as the wall's, but never by more than LONGEST_TICK_S at once."""

    def __init__(self) -> None:
        self._now_ns = time.monotonic_ns()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="lived-clock", daemon=True)

    def __enter__(self) -> LivedClock:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def monotonic_ns(self) -> int:
        return self._now_ns

    def _tick(self) -> None:
        before_ns = time.monotonic_ns()
        while not self._ended.wait(TICK_S):
            now_ns = time.monotonic_ns()
            self._now_ns += min(now_ns - before_ns, round(LONGEST_TICK_S * 1e9))
            before_ns = now_ns
