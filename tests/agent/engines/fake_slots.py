"""A device of two batch sizes that is slow, finishes in any order, and fails on cue.

A slot computes only when its time has come, from its own upload buffer: a caller that touches it too early
gets wrong answers, not only an assertion.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from agent.engines.engine import Answer
from agent.engines.gpu.ring import Ring
from agent.messages import Pixels
from tests.fakes import evidence_of


@dataclass(slots=True)
class FakeDevice:
    """`submit_errors` and `wait_errors` are raised by the next calls; None lets one pass."""

    submit_errors: deque[Exception | None] = field(default_factory=deque)
    wait_errors: deque[Exception | None] = field(default_factory=deque)
    drain_errors: deque[Exception | None] = field(default_factory=deque)
    takes_s: float = 0.0
    most_flying: int = 0
    flying: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ring(self, slots: dict[int, int]) -> Ring:
        return Ring({size: [FakeSlot(self, size) for _ in range(count)] for size, count in slots.items()})

    def moved(self, by: int) -> None:
        with self.lock:
            self.flying += by
            self.most_flying = max(self.most_flying, self.flying)


@dataclass(slots=True, eq=False)
class FakeSlot:
    device: FakeDevice
    size: int
    buffer: Pixels | None = None  # what is in flight
    restored: bool = True
    closed: bool = False

    def submit(self, tiles: Pixels, *, restored: bool) -> None:
        assert not self.closed and self.buffer is None, "a slot was used before its event"
        assert len(tiles) == self.size
        self.buffer, self.restored = tiles.copy(), restored
        self.device.moved(1)
        _raise_next(self.device.submit_errors)

    def wait(self) -> Answer:
        assert self.buffer is not None, "nothing was submitted"
        time.sleep(self.device.takes_s)
        _raise_next(self.device.wait_errors)
        return self._done()

    def drain(self) -> None:
        _raise_next(self.device.drain_errors)
        if self.buffer is not None:
            self._done()

    def close(self) -> None:
        self.closed = True

    def _done(self) -> Answer:
        assert self.buffer is not None
        tiles, self.buffer = self.buffer, None
        self.device.moved(-1)
        maps = np.stack([evidence_of(tile) for tile in tiles])
        restored = tiles.copy() if self.restored else None
        return Answer(scores=maps.max(axis=(1, 2)), maps=maps, restored=restored, engine="fake")


def _raise_next(errors: deque[Exception | None]) -> None:
    error = errors.popleft() if errors else None
    if error is not None:
        raise error
