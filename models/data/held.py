"""Which good parts train and which are held back, for what, and what those can promise.

Held-back parts are two: some give the statistics of the evidence, the others set the threshold and nothing
else. Had one part done both, it would look more usual than a new one, and the threshold would promise too
much: split conformal needs scores that nothing was fitted to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.teach.threshold import askable
from models.data.datasets import (
    DataError,
    DataSet,
    Item,
    good_training,
    hold_out,
    read_set,
    summary,
)
from models.data.threshold import frames_needed, promised

TARGET = 0.05  # false-reject rate that a bundle promises unless it is told another
SHARES = (
    8,
    7,
    6,
    5,
    4,
    3,
    2,
)  # every n-th run of good parts is held back: the fewest that can promise TARGET
SHARE_OF_FEW = 4  # where none of them can
EVIDENCE_SHARE = 4  # one held-back part in so many is for statistics


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Good parts by what they are used for; each for one thing."""

    train: list[Item]
    evidence: list[Item]  # mean and spread of what a model shows on good parts
    threshold: list[Item]

    @property
    def held(self) -> list[Item]:
        return [*self.evidence, *self.threshold]


def good_items(roots: Sequence[Path]) -> tuple[list[Item], list[Item]]:
    """Good training pictures of all data sets, and all that are held back. Raises DataError."""
    shares = good_shares(roots)
    return shares.train, shares.held


def good_shares(roots: Sequence[Path]) -> Shares:
    """Good training pictures of all data sets by their use. Raises DataError."""
    return split_good([(root, read_set(root)) for root in roots])


def split_good(sets: Sequence[tuple[Path, DataSet]]) -> Shares:
    """The same of sets that were read already."""
    known: set[str] = set()
    whole = Shares(train=[], evidence=[], threshold=[])
    for root, found in sets:
        good = good_training(found.items, root)
        names = sorted({item.product for item in good})
        for name in names:
            if name in known:
                raise DataError(f"{root}: product {name!r} stands twice; rename a folder or give it once")
            one = share([item for item in good if item.product == name])
            whole.train.extend(one.train)
            whole.evidence.extend(one.evidence)
            whole.threshold.extend(one.threshold)
        known |= set(names)
    return whole


def share(good: Sequence[Item]) -> Shares:
    """Good parts of one product by their use. Raises DataError for fewer than 8."""
    hold_out(good, SHARES[0])  # refuses too few
    found = (_shared(good, every) for every in SHARES)
    enough = (one for one in found if len(one.threshold) >= frames_needed(TARGET))
    return next(enough, None) or _shared(good, SHARE_OF_FEW)


def parts_needed(target: float) -> int:
    """How many good training parts of one product hold back enough to promise `target`."""
    needed = frames_needed(target)
    count = max(SHARES[0], needed)
    while (missing := needed - len(share(_unnamed(count)).threshold)) > 0:
        count += max(1, missing // 2)
    return count


def need_promise(roots: Sequence[Path], target: float) -> None:
    """Raises DataError for good parts that are too few to promise `target`, with how many are missing."""
    shares = good_shares(roots)
    count, needed = len(shares.threshold), frames_needed(target)
    if count < needed:
        missing = parts_needed(target) - len(shares.train) - len(shares.held)
        raise DataError(
            f"a false-reject rate of {target:.2%} takes {needed} good parts that set the threshold and do "
            f"nothing else, and there are {count}: give about {max(1, missing)} more good parts, or a "
            f"--target of {askable(promised(count)):.2%} or more"
        )


def preview(roots: Sequence[Path], target: float = TARGET) -> list[str]:
    """What is read of each set, what is left out, and what the held-back parts can promise, a line each.

    Raises DataError.
    """
    sets = [(root, read_set(root)) for root in roots]
    lines = [line for root, found in sets for line in summary(root, found)]
    shares = split_good(sets)
    count = len(shares.threshold)
    words = (
        f"{len(shares.train)} good parts to train on, {len(shares.evidence)} held back for statistics, "
        f"{count} for the threshold alone"
    )
    if count >= frames_needed(target):
        return [*lines, f"{words}: enough for a false-reject rate of {target:.2%}"]
    few = f"they can promise a false-reject rate of {askable(promised(count)):.2%}, not of {target:.2%}"
    remedy = f"the threshold will be provisional; give {parts_needed(target)} good parts for that"
    return [*lines, f"{words}: {few}: {remedy}"]


def _shared(good: Sequence[Item], every: int) -> Shares:
    """One cut in their order, so that hardly any have neighbours on both sides of it."""
    kept, held = hold_out(good, every)
    cut = max(1, len(held) // EVIDENCE_SHARE)
    return Shares(train=kept, evidence=held[:cut], threshold=held[cut:])


def _unnamed(count: int) -> list[Item]:
    return [Item(image=Path(), split="train", defect="good")] * count
