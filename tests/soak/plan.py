"""What befalls a station in a day, drawn from a seed: when, what, and for how long. Pure.

Deaths of the agent keep out of the hours from `LONG_LIFE` on, so that one of its lives is long enough to
show what it gathers; all the rest may come at any time.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "camera lost",
    "broker restarted",
    "broker killed",
    "disk full",
    "disk full, no broker",
    "settings from afar",
    "settings refused",
    "settings by file",
    "bundle rolled out",
    "bundle refused",
    "clock stepped",
    "reload",
    "agent killed",
    "agent killed, no broker",
    "agent stopped",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
DEATHS: tuple[Kind, ...] = ("agent killed", "agent killed, no broker", "agent stopped")
DISK: tuple[Kind, ...] = ("disk full", "disk full, no broker")
A_DAY: Mapping[Kind, int] = {
    "camera lost": 8,
    "broker restarted": 5,
    "broker killed": 5,
    "disk full": 4,
    "disk full, no broker": 3,
    "settings from afar": 7,
    "settings refused": 3,
    "settings by file": 6,
    "bundle rolled out": 5,
    "bundle refused": 4,
    "clock stepped": 6,
    "reload": 6,
    "agent killed": 4,
    "agent killed, no broker": 2,
    "agent stopped": 2,
}
LONG_LIFE = (7 / 24, 18 / 24)  # share of the day
FIRST, LAST = 0.02, 0.94  # of the day: in between things happen
LASTS_S = (2.0, 8.0)  # of the real clock, for back-offs and time-outs are of it, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """The `nth` of its kind, from 0 on."""

    kind: Kind
    nth: int
    at_h: float  # of the day that is played
    lasts_s: float  # as long as something is away or full, by the real clock


def a_day(seed: int, *, hours: float, without: Collection[Kind] = ()) -> list[Hazard]:
    """A day's hazards in their order; `without` what this machine cannot do."""
    rng = random.Random(seed)
    counts = {kind: count for kind, count in A_DAY.items() if kind not in without}
    places = sum(counts.values())
    share = (LAST - FIRST) / places
    starts = [FIRST + share * (place + rng.uniform(0.0, 0.5)) for place in range(places)]
    kinds = _ordered(rng, starts, counts)
    return list(_numbered(rng, zip(starts, kinds, strict=True), hours))


def each_once(seed: int, *, without: Collection[Kind] = ()) -> list[Hazard]:
    """Every kind, one as soon as the one before is over."""
    rng = random.Random(seed)
    kinds = [kind for kind in KINDS if kind not in without]
    rng.shuffle(kinds)
    return list(_numbered(rng, ((0.0, kind) for kind in kinds), 1.0, lasts_s=(0.5, 1.5)))


def _ordered(rng: random.Random, starts: list[float], counts: Mapping[Kind, int]) -> list[Kind]:
    """A kind for each place."""
    deaths = [kind for kind in DEATHS for _ in range(counts.get(kind, 0))]
    others = [kind for kind, count in counts.items() if kind not in DEATHS for _ in range(count)]
    rng.shuffle(deaths)
    rng.shuffle(others)
    allowed = [place for place, at in enumerate(starts) if not LONG_LIFE[0] <= at < LONG_LIFE[1]]
    chosen = dict(zip(rng.sample(allowed, len(deaths)), deaths, strict=True))
    return [chosen[place] if place in chosen else others.pop() for place in range(len(starts))]


def _numbered(
    rng: random.Random,
    placed: Collection[tuple[float, Kind]] | Iterator[tuple[float, Kind]],
    hours: float,
    lasts_s: tuple[float, float] = LASTS_S,
) -> Iterator[Hazard]:
    seen: dict[Kind, int] = {}
    for at, kind in placed:
        nth = seen.get(kind, 0)
        seen[kind] = nth + 1
        yield Hazard(kind=kind, nth=nth, at_h=at * hours, lasts_s=rng.uniform(*lasts_s))
