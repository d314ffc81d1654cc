"""A gate that keeps the promises of its protocol, and fails on cue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.clock import Clock
from agent.outputs.gate import GateError


@dataclass(slots=True)
class FakeGate:
    """Knows when it was given which level; `refuses` are raised by the next calls, `hangs` holds them up."""

    clock: Clock
    moved: list[tuple[int, bool]] = field(default_factory=list)
    beats: list[tuple[int, bool]] = field(default_factory=list)
    opened: int = 0
    refuses: int = 0
    hangs: threading.Event | None = None
    answers: Callable[[], None] = lambda: None
    is_open: bool = False

    @property
    def level(self) -> bool | None:
        return self.moved[-1][1] if self.moved else None

    def open(self) -> None:
        self._answer()
        self.opened += 1
        self.is_open = True

    def set(self, high: bool) -> None:
        assert self.is_open, "it was not opened"
        self._answer()
        self.moved.append((self.clock.monotonic_ns(), high))

    def beat(self, high: bool) -> None:
        assert self.is_open, "it was not opened"
        self._answer()
        self.beats.append((self.clock.monotonic_ns(), high))

    def close(self) -> None:
        self.is_open = False

    def _answer(self) -> None:
        self.answers()
        if self.hangs is not None:
            assert self.hangs.wait(60)
        if self.refuses:
            self.refuses -= 1
            raise GateError("the gate did not answer; check it")
