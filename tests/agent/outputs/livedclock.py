"""A clock for a whole station that stands while a loaded machine lets none of its threads run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent.clock import SystemClock
from tests.lived import Lived, living


class LivedClock(SystemClock):
    """It runs by the seconds that this process lived."""

    def __init__(self, lived: Lived) -> None:
        self._began_ns = time.monotonic_ns()
        self._lived = lived

    def monotonic_ns(self) -> int:
        return self._began_ns + round(self._lived.seconds * 1e9)


@contextmanager
def lived_clock() -> Iterator[LivedClock]:
    """`with lived_clock() as clock: ...`"""
    with living() as lived:
        yield LivedClock(lived)
