"""Seconds as this process lived them: what a loaded machine held up does not count against a promise."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.beside import beside

TICK_S = 0.01
LONGEST_TICK_S = 0.02  # one that comes later found the machine busy with others


@dataclass(slots=True)
class Lived:
    """Never more than the clock on the wall shows."""

    seconds: float = 0.0


@contextmanager
def living() -> Iterator[Lived]:
    """`with living() as lived: ...`, then `lived.seconds`."""
    lived = Lived()

    def tick(ended: threading.Event) -> None:
        before_s = time.monotonic()
        while not ended.wait(TICK_S):
            now_s = time.monotonic()
            lived.seconds += min(now_s - before_s, LONGEST_TICK_S)
            before_s = now_s

    with beside("lived", tick):
        yield lived
