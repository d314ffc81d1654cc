"""A clock for a whole station that stands while a loaded machine lets none of its threads run."""

from __future__ import annotations

import time
from types import TracebackType

from agent.clock import SystemClock
from tests.lived import Lived


class LivedClock(SystemClock):
    """`with LivedClock() as clock`: it runs by the seconds that this process lived."""

    def __init__(self) -> None:
        self._began_ns = time.monotonic_ns()
        self._lived = Lived()

    def __enter__(self) -> LivedClock:
        self._lived.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lived.__exit__(kind, error, trace)

    def monotonic_ns(self) -> int:
        return self._began_ns + round(self._lived.seconds * 1e9)
