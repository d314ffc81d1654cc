"""Which good parts train and which are held back to calibrate on, and what those can promise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.data.datasets import DataError, DataSet, Item, good_training, hold_out, read_set, summary
from models.data.threshold import frames_needed, promised

TARGET = 0.05  # false-reject rate that a bundle promises unless it is told another
SHARES = (8, 7, 6, 5, 4, 3)  # every n-th run of good parts calibrates: the fewest that can promise TARGET
SHARE_OF_FEW = 4  # where none of them can


def good_items(roots: Sequence[Path]) -> tuple[list[Item], list[Item]]:
    """Good training pictures of all data sets, and those that are held back. Raises DataError."""
    return split_good([(root, read_set(root)) for root in roots])


def split_good(sets: Sequence[tuple[Path, DataSet]]) -> tuple[list[Item], list[Item]]:
    """The same of sets that were read already."""
    known: set[str] = set()
    kept: list[Item] = []
    held: list[Item] = []
    for root, found in sets:
        good = good_training(found.items, root)
        names = sorted({item.product for item in good})
        for name in names:
            if name in known:
                raise DataError(f"{root}: product {name!r} stands twice; rename a folder or give it once")
            some, others = share([item for item in good if item.product == name])
            kept += some
            held += others
        known |= set(names)
    return kept, held


def share(good: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Good parts of one product for training and for calibration. Raises DataError for fewer than 8."""
    usual = hold_out(good, SHARES[0])
    for every in SHARES:
        kept, held = hold_out(good, every)
        if len(held) >= frames_needed(TARGET):
            return kept, held
    return hold_out(good, SHARE_OF_FEW) if len(good) >= 2 * SHARES[0] else usual


def parts_needed(target: float) -> int:
    """How many good training parts of one product hold back enough to promise `target`."""
    needed = frames_needed(target)
    count = max(SHARES[0], needed)
    while len(share(_unnamed(count))[1]) < needed:
        count += max(1, (needed - len(share(_unnamed(count))[1])) // 2)
    return count


def preview(roots: Sequence[Path], target: float = TARGET) -> list[str]:
    """What is read of each set, what is left out, and what the held-back parts can promise, a line each.

    Raises DataError.
    """
    sets = [(root, read_set(root)) for root in roots]
    lines = [line for root, found in sets for line in summary(root, found)]
    kept, held = split_good(sets)
    words = f"{len(kept)} good parts to train on, {len(held)} held back to calibrate on"
    if len(held) >= frames_needed(target):
        return [*lines, f"{words}: enough for a false-reject rate of {target:.2%}"]
    few = f"they can promise a false-reject rate of {promised(len(held)):.1%}, not of {target:.2%}"
    remedy = f"the threshold will be provisional; give {parts_needed(target)} good parts for that"
    return [*lines, f"{words}: {few}: {remedy}"]


def _unnamed(count: int) -> list[Item]:
    return [Item(image=Path(), split="train", defect="good")] * count
