"""When an engine that serves is taken down, and which one is opened next: pure.

1. A lost device is taken down at once. Out of memory twice running, or three failures or answers that are no
   numbers running, are not bad luck either. One good answer clears the count.
2. Frames of bad answers are undecided; none is judged twice.
3. The best engine that is ready serves first. While it serves a better one is compiled beside it.
4. An engine that failed is not tried again in this process, unless nothing else is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from agent.engines.engine import Answer, DeviceLost, OutOfMemory

Outcome: TypeAlias = Literal["good", "not_finite", "failed", "out_of_memory", "lost"]

LIMITS: dict[Outcome, int] = {"not_finite": 3, "failed": 3, "out_of_memory": 2, "lost": 1}
WORDS: dict[Outcome, str] = {
    "not_finite": "gave scores that are no numbers",
    "failed": "failed",
    "out_of_memory": "ran out of memory",
    "lost": "lost its device",
}


def outcome_of_error(error: Exception) -> Outcome:
    if isinstance(error, DeviceLost):
        return "lost"
    return "out_of_memory" if isinstance(error, OutOfMemory) else "failed"


def outcome_of_answer(answer: Answer) -> Outcome:
    return "good" if np.isfinite(answer.scores).all() else "not_finite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """Bad outcomes one after the other."""

    length: int = 0

    def after(self, outcome: Outcome) -> tuple[Streak, bool]:
        """The streak with one more outcome, and whether the engine is to be taken down for it."""
        if outcome == "good":
            return Streak(), False
        longer = Streak(length=self.length + 1)
        return longer, longer.length >= LIMITS[outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one engine."""

    ready: bool  # it opens within seconds: nothing to compile, or compiled already
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Open this one and let it serve."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compile:
    """Compile this one, then open it."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOver:
    """Nothing is left: forget what failed."""


Step: TypeAlias = Open | Compile | StartOver | None  # None: all is as it should be


def next_step(standings: Sequence[Standing], serving: int | None) -> Step:
    """`standings` are best first, `serving` is the index of the one that serves."""
    usable = [index for index, one in enumerate(standings) if not one.failed]
    if serving is not None:
        better = [index for index in usable if index < serving]
        if not better:
            return None
        return Open(index=better[0]) if standings[better[0]].ready else Compile(index=better[0])
    ready = [index for index in usable if standings[index].ready]
    if ready:
        return Open(index=ready[0])
    return Compile(index=usable[0]) if usable else StartOver()
