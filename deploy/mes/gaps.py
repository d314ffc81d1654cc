"""Which verdicts are missing, from the numbers of those that are there. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Island(NamedTuple):
    """Verdicts of one boot whose sequence numbers follow each other."""

    source: str
    boot_id: str
    first: int
    last: int
    arrival: int  # of the earliest of them
    replayed: int  # 1: all of them


class Gap(NamedTuple):
    """Sequence numbers that are missing before a verdict of `boot_id`."""

    source: str
    boot_id: str
    first: int
    last: int
    current: bool  # in the numbering that the station uses now: it can be asked for them
    gone: bool = False  # nobody has them any more


class Gone(NamedTuple):
    """Numbers missing before a verdict of `boot_id` that the station no longer has."""

    source: str
    boot_id: str
    first: int
    last: int


def find_gaps(islands: Iterable[Island]) -> list[Gap]:
    """What is missing between islands of one source.

    Numbers go on over reboots. They begin again at 1 only when a station had to start its outbox afresh.
    What lies before the first verdict that ever came is not missed.
    """
    boots: dict[str, list[Island]] = defaultdict(list)
    for island in sorted(islands, key=lambda one: one.arrival):
        boots[island.boot_id].append(island)
    numberings: list[list[Island]] = []
    for boot in boots.values():
        if not numberings or _begins_anew(boot, numberings[-1]):
            numberings.append([])
        numberings[-1] += boot
    gaps = []
    for numbering in numberings:
        expected = 1 if numbering is not numberings[0] else min(island.first for island in numbering)
        for island in sorted(numbering, key=lambda one: one.first):
            if island.first > expected:
                current = numbering is numberings[-1]
                gaps.append(Gap(island.source, island.boot_id, expected, island.first - 1, current))
            expected = max(expected, island.last + 1)
    return gaps


def without_gone(gaps: Iterable[Gap], ranges: Iterable[Gone]) -> list[Gap]:
    """The same gaps, cut where a part of one is known to be gone."""
    known: dict[tuple[str, str], list[Gone]] = defaultdict(list)
    for one in sorted(ranges, key=lambda one: one.first):
        known[one.source, one.boot_id].append(one)
    cut = []
    for gap in gaps:
        begin = gap.first
        for one in known[gap.source, gap.boot_id]:
            first, last = max(one.first, begin), min(one.last, gap.last)
            if first > last:
                continue
            if first > begin:
                cut.append(gap._replace(first=begin, last=first - 1))
            cut.append(gap._replace(first=first, last=last, gone=True))
            begin = last + 1
        if begin <= gap.last:
            cut.append(gap._replace(first=begin))
    return cut


def _begins_anew(boot: Sequence[Island], numbering: Sequence[Island]) -> bool:
    """Whether a boot's own numbers lie before all others or on them; replayed ones do not count."""
    live = [island for island in boot if not island.replayed]
    begin = min(island.first for island in numbering)
    taken = any(mine.first <= one.last and one.first <= mine.last for mine in live for one in numbering)
    return taken or any(island.first < begin for island in live)
