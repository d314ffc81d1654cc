"""Timing by turns: machines are shared and noisy, so what is compared runs alternately; ratios are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Seconds of each round, by name."""

    seconds: dict[str, list[float]]

    def median_s(self, name: str) -> float:
        return float(np.median(self.seconds[name]))

    def best_s(self, name: str) -> float:
        return min(self.seconds[name])

    def times_faster(self, name: str, base: str) -> float:
        """The median over rounds of base / name, both measured in the same round."""
        return float(np.median(np.divide(self.seconds[base], self.seconds[name])))


def take_turns(calls: Mapping[str, Callable[[], object]], rounds: int, calls_per_turn: int = 3) -> Turns:
    """Every call in every round, after one that warms it up; a turn counts by its quickest call."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found = []
            for _ in range(calls_per_turn):
                started = time.perf_counter()
                call()
                found.append(time.perf_counter() - started)
            seconds[name].append(min(found))
    return Turns(seconds=seconds)
