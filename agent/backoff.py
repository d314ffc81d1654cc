"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
import threading

from agent.clock import Clock

SLICE_S = 0.1


def backoff_s(attempt: int, rng: random.Random, *, first_s: float, longest_s: float) -> float:
    """The wait before retry `attempt` (from 0): doubling from `first_s` to `longest_s`, less up to half."""
    ceiling_s = min(longest_s, first_s * 2.0 ** min(attempt, 30))
    return rng.uniform(ceiling_s / 2, ceiling_s)


def wait_unless(stop: threading.Event, delay_s: float, clock: Clock) -> None:
    """Sleep in slices, so that `stop` is seen within a tenth of a second."""
    end_ns = clock.monotonic_ns() + round(delay_s * 1e9)
    while not stop.is_set() and (rest_ns := end_ns - clock.monotonic_ns()) > 0:
        clock.sleep(min(rest_ns / 1e9, SLICE_S))
