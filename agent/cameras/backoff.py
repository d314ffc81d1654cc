"""How long to wait before a lost camera is tried again."""

from __future__ import annotations

import random
import threading

from agent.clock import Clock

SLICE_S = 0.1


def backoff_s(attempt: int, rng: random.Random) -> float:
    """The wait before reconnect number `attempt` (from 0): doubling within 1..30 s, with jitter."""
    ceiling_s = min(30.0, 2.0 ** min(attempt + 1, 5))
    return rng.uniform(ceiling_s / 2, ceiling_s)


def wait_unless(stop: threading.Event, delay_s: float, clock: Clock) -> None:
    """Sleep in slices, so that `stop` is seen within a tenth of a second."""
    end_ns = clock.monotonic_ns() + round(delay_s * 1e9)
    while not stop.is_set() and (rest_ns := end_ns - clock.monotonic_ns()) > 0:
        clock.sleep(min(rest_ns / 1e9, SLICE_S))
