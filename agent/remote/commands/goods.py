"""The threshold that new good parts exceed at a given rate, from good frames in the archive.

Split conformal, as the workshop calibrates a bundle: the ceil((n + 1)(1 - rate))-th smallest of n good
scores, with the 95 % bootstrap of that order statistic. Where n is too small for the rate the largest score
sets it, and it is provisional.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agent.archive import bounds, entry
from agent.archive.archive import Archive
from agent.archive.entry import EntryError
from agent.archive.index import Kept, Query
from agent.messages import Floats

RESAMPLES = 1000
SEED = 0
AT_ONCE = 100  # of the index
TRIED = 20  # entries that are looked at for each one that is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A frame that was, or should have been, passed."""

    score: float
    is_false_alarm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    threshold: float
    interval: tuple[float, float]
    rate: float  # of good parts at or above it; what was asked for, or what so few can promise
    provisional: bool


def propose(scores: Sequence[float], rate: float) -> Proposal:
    """Of at least one score."""
    count = len(scores)
    ordered: Floats = np.sort(np.asarray(scores, np.float32))
    rank = min(count, math.ceil(round((count + 1) * (1 - rate), 6)))
    resampled = np.random.default_rng(SEED).choice(ordered, (RESAMPLES, count))
    low, high = np.quantile(np.sort(resampled)[:, rank - 1], [0.025, 0.975])
    needed = math.ceil(round((1 - rate) / rate, 6))
    return Proposal(
        threshold=_just_above(float(ordered[rank - 1])),
        interval=(_just_above(float(low)), _just_above(float(high))),
        rate=rate if count >= needed else 1 / (count + 1),
        provisional=count < needed,
    )


def _just_above(score: float) -> float:
    """A frame fails at or above the threshold, and the one that sets it must pass."""
    return float(np.nextafter(np.float32(score), np.float32(np.inf)))


class Goods:
    """Good frames of an archive that the bundle in force has judged."""

    def __init__(self, archive: Archive, *, pass_share: float, bundle_sha256: Callable[[], str]) -> None:
        self._archive = archive
        self._pass_share = pass_share
        self._bundle_sha256 = bundle_sha256

    def good(self, camera: str | None, limit: int) -> Iterator[Good | None]:
        """At most `limit`, the newest first; None after each entry that is none. Raises ArchiveError."""
        bundle, found, after = self._bundle_sha256(), 0, None
        for _ in range(0, max(limit * TRIED, AT_ONCE), AT_ONCE):
            kept = self._archive.shelf.find(Query(camera=camera, after=after, limit=AT_ONCE))
            for one in kept:
                good = self._look(one, bundle)
                found += good is not None
                yield good
                if found >= limit:
                    return
            if len(kept) < AT_ONCE:
                return
            after = kept[-1].head.created, kept[-1].head.id

    def _look(self, one: Kept, bundle: str) -> Good | None:
        head = one.head
        word = None if head.mark is None else head.mark.word
        is_false_alarm = word == "false_alarm"
        passed = head.verdict == "pass" and word != "missed_defect"
        if head.score is None or not (passed or is_false_alarm):
            return None
        if not passed and not bounds.by_chance(head.id, self._pass_share):
            return None
        return Good(score=head.score, is_false_alarm=not passed) if self._is_of(one, bundle) else None

    def _is_of(self, one: Kept, bundle: str) -> bool:
        """Whether this bundle judged it; one that made room meanwhile, or is damaged, is nobody's."""
        try:
            return entry.read_bundle(self._archive.shelf.folder / one.path) == bundle
        except (OSError, EntryError):
            return False
