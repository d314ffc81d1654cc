"""Seconds as this process lived them: what a loaded machine held up does not count against a promise."""

from __future__ import annotations

import threading
import time
from types import TracebackType

TICK_S = 0.01
LONGEST_TICK_S = 0.02  # one that comes later found the machine busy with others


class Lived:
    """`with Lived() as lived: ...`, then `lived.seconds`; never more than the clock on the wall shows."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="lived", daemon=True)

    def __enter__(self) -> Lived:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _tick(self) -> None:
        before_s = time.monotonic()
        while not self._ended.wait(TICK_S):
            now_s = time.monotonic()
            self.seconds += min(now_s - before_s, LONGEST_TICK_S)
            before_s = now_s
