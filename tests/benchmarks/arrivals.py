"""What became of numbered verdicts on their way through an outage: lost, twice, out of order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    sequence: int  # verdicts are numbered from 1, without a gap
    at_s: float  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """By the publisher's numbers: the last verdict made before it, and the last before the return."""

    last_before: int
    last_during: int
    returned_s: float  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    made: int
    made_during: int  # the outage
    arrived: int  # each counted once
    lost: int
    lost_during: int
    twice: int  # arrivals of what had arrived
    disorder: int  # first arrivals after one with a higher number
    caught_up_s: float | None  # from the return to the last of the outage's verdicts; None: none arrived


def tally(made: int, outage: Outage, arrivals: Sequence[Arrival]) -> Tally:
    """Of verdicts 1 to `made`. Raises ValueError for an arrival with another number."""
    first: dict[int, float] = {}
    highest = disorder = 0
    for one in arrivals:
        if not 1 <= one.sequence <= made:
            raise ValueError(f"verdict {one.sequence} arrived, of 1 to {made} that were made")
        if one.sequence not in first:
            first[one.sequence] = one.at_s
            disorder += one.sequence < highest
            highest = max(highest, one.sequence)
    during = [first[n] for n in range(outage.last_before + 1, outage.last_during + 1) if n in first]
    return Tally(
        made=made,
        made_during=outage.last_during - outage.last_before,
        arrived=len(first),
        lost=made - len(first),
        lost_during=outage.last_during - outage.last_before - len(during),
        twice=len(arrivals) - len(first),
        disorder=disorder,
        caught_up_s=max(0.0, max(during) - outage.returned_s) if during else None,
    )
