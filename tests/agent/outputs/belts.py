"""A belt in software: where it is at any time, and what its encoder shows, with accidents on cue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outputs.belt import Reading


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many ns at one speed, in ticks for each second; negative runs backwards."""

    length_ns: int
    speed: float


@dataclass(frozen=True, slots=True)
class TrueBelt:
    """Stretches one after the other; behind the last one it stands."""

    stretches: Sequence[Stretch]
    resets_ns: tuple[int, ...] = ()  # when the counter falls to 0
    start: int = 0  # of the counter

    def place(self, at_ns: int) -> float:
        """In ticks since the beginning."""
        place, left_ns = 0.0, at_ns
        for one in self.stretches:
            part_ns = min(left_ns, one.length_ns)
            place += one.speed * part_ns / 1e9
            left_ns -= part_ns
        return place

    def count(self, at_ns: int) -> int:
        """What the encoder shows, 32 bits."""
        past = [one for one in self.resets_ns if one <= at_ns]
        count = self.place(at_ns) - self.place(past[-1]) if past else self.start + self.place(at_ns)
        return int(count // 1) % (1 << 32)

    def reading(self, at_ns: int) -> Reading:
        return Reading(count=self.count(at_ns), at_ns=at_ns)

    def when(self, place: float, *, step_ns: int = 100_000, until_ns: int = 100 * 10**9) -> int | None:
        """The first moment at which it has come so far; None for never."""
        at_ns = 0
        while at_ns <= until_ns:
            if self.place(at_ns) >= place:
                return at_ns
            at_ns += step_ns
        return None
