"""The newest frames beside the reference: how far each number is from it, and what kind of change: pure.

A number is off when its population stability index, less what so few frames have by chance, is PSI_LIMIT or
more, and its median lies far from that of the reference: WANDERS times as far as medians of stretches of the
reference lay from it by themselves, and SHIFT_LIMIT spreads at least. Below OVER of both it is off no more.

Light and picture are judged on parts that passed, as long as a quarter of the last ones did: a defect darkens
its own part, a lamp all of them. Where hardly any passes, on the last ones as they are.

1. A number of the light is off: `light_changed`, whether scores follow or not.
2. The sharpness is off: `picture_changed`; where far more parts fail, also that of the last ones as they are.
3. Far more parts fail than between the parts of the reference: `more_defects`.
4. Scores of good parts or their restoration are off, and nothing of the above: `scores_moved`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from agent.drift.reference import BINS, Band, Reference, shares
from agent.drift.statistics import GROUPS, NAMES, Group
from agent.messages import Flags, Floats

Kind: TypeAlias = Literal["light_changed", "picture_changed", "more_defects", "scores_moved"]

KINDS: tuple[Kind, ...] = ("light_changed", "picture_changed", "more_defects", "scores_moved")

PSI_LIMIT = 0.25
SHIFT_LIMIT = 0.6
WANDERS = 5.0
OVER = 0.6  # of the limits
LATELY = 32  # frames
GOOD_SHARE = 0.25  # of those, that light is judged on good parts alone
LEAST = 24  # frames
BY_CHANCE = 1e-5  # that so many parts fail with no more defects than before
MOST_LIKELY = 3  # standard deviations by which the share of fails of then may be wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """One number, now against then."""

    name: str
    group: Group
    psi: float  # less what chance gives
    shift: float  # of the median, in spreads
    limit: float  # of that
    now: float  # median
    then: float

    def is_off(self, share: float = 1.0) -> bool:
        return self.psi >= share * PSI_LIMIT and abs(self.shift) >= share * self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest frames against the reference."""

    numbers: tuple[Off, ...]
    lately: tuple[Off, ...] = ()  # the same of the last LATELY frames, whether they passed or not
    fails: int
    frames: int
    fail_chance: float  # that so many fail by chance

    def off(self, group: Group, share: float = 1.0) -> tuple[Off, ...]:
        """Those of a group, the farthest first."""
        found = [one for one in self.numbers if one.group == group and one.is_off(share)]
        return tuple(sorted(found, key=lambda one: -abs(one.shift)))

    def is_unsharp(self, share: float = 1.0) -> bool:
        """Whether the last frames are less sharp as they are: most of them may fail for it."""
        return any(one.group == "input" and one.is_off(share) and one.shift < 0 for one in self.lately)


def look(reference: Reference, rows: Floats, passed: Flags) -> Seen | None:
    """The newest rows (N, len(NAMES)), and which of them passed; None of too few."""
    if len(rows) < LEAST:
        return None
    lately = passed[-LATELY:]
    good = rows[passed]
    last = _numbers(reference, rows[-LATELY:])
    passes = np.count_nonzero(lately) >= GOOD_SHARE * len(lately)
    fails = int(np.count_nonzero(~passed))
    return Seen(
        numbers=_numbers(reference, good) if passes else last,
        lately=last,
        fails=fails,
        frames=len(rows),
        fail_chance=_tail(fails, len(rows), _most_likely(reference)),
    )


def kind_of(seen: Seen, share: float = 1.0) -> Kind | None:
    """By the rules above; `share` of the limits keeps an episode going."""
    if seen.off("light", share):
        return "light_changed"
    if seen.off("input", share):
        return "picture_changed"
    if seen.fail_chance <= BY_CHANCE**share:
        return "picture_changed" if seen.is_unsharp(share) else "more_defects"
    if seen.off("score", share) or seen.off("restoration", share):
        return "scores_moved"
    return None


def psi(then: Sequence[float], now: Sequence[float]) -> float:
    """Population stability index of two sets of shares, none of which is 0."""
    return sum((new - old) * math.log(new / old) for old, new in zip(then, now, strict=True))


def _numbers(reference: Reference, rows: Floats) -> tuple[Off, ...]:
    found = (
        _off(name, band, rows[:, NAMES.index(name)], reference.good) for name, band in reference.bands.items()
    )
    return tuple(one for one in found if one is not None)


def _off(name: str, band: Band, column: Floats, learned: int) -> Off | None:
    values = column[np.isfinite(column)].astype(np.float64)
    if len(values) < LEAST:
        return None
    by_chance = (BINS - 1) * (1 / learned + 1 / len(values))
    middle = float(np.median(values))
    return Off(
        name=name,
        group=GROUPS[name],
        psi=max(0.0, psi(band.shares, shares(values, band.edges)) - by_chance),
        shift=(middle - band.middle) / band.spread,
        limit=max(SHIFT_LIMIT, WANDERS * band.wander),
        now=middle,
        then=band.middle,
    )


def _most_likely(reference: Reference) -> float:
    """The largest share of fails that what was seen then allows."""
    seen = reference.good + reference.fails
    share = (reference.fails + 1) / (seen + 2)
    return min(1.0, share + MOST_LIKELY * math.sqrt(share * (1 - share) / seen))


def _tail(count: int, of: int, share: float) -> float:
    """The chance of `count` or more out of `of`, each with a chance of `share`."""
    if share >= 1.0:
        return 1.0
    log_share, log_rest = math.log(share), math.log1p(-share)
    return min(
        1.0,
        sum(
            math.exp(
                math.lgamma(of + 1)
                - math.lgamma(one + 1)
                - math.lgamma(of - one + 1)
                + one * log_share
                + (of - one) * log_rest
            )
            for one in range(count, of + 1)
        ),
    )
