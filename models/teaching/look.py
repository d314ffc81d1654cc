"""What a folder of pictures can teach, in the first seconds: counts, sizes, rate, and what looks unfit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.cameras import images
from agent.foreign import shown
from agent.teach.check import Seen, check, see
from models.data.datasets import DataError, Item, read_image, read_set
from models.data.held import TARGET, Shares, preview, share
from models.data.preflight import PreflightError

SMALLEST_PX = 32
SEEN_AT_MOST = 400
NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`digest` changes with the pictures; `lines` are for people."""

    good: tuple[Item, ...]
    evidence: tuple[Item, ...]  # good ones that give statistics
    held: tuple[Item, ...]  # those that set the threshold
    tested: tuple[Item, ...]  # good ones of a test split, which set nothing
    bad: tuple[Item, ...]
    digest: str
    lines: tuple[str, ...]


def look(root: Path, target: float = TARGET) -> Look:
    """Raises DataError for a folder that cannot teach, naming what is missing."""
    found = read_set(root)
    training = [item for item in found.items if item.is_good and item.split == "train"]
    if len({item.product for item in training}) > 1:
        raise PreflightError(f"{shown(str(root))}: holds several products; give the folder of one")
    shares = share(training) if training else Shares(train=[], evidence=[], threshold=[])
    lines = preview([root], target)
    bad = [item for item in found.items if not item.is_good]
    lines.append(f"{len(bad)} defective parts, which judge what was taught" if bad else NO_BAD)
    return Look(
        good=tuple(shares.train),
        evidence=tuple(shares.evidence),
        held=tuple(shares.threshold),
        tested=tuple(item for item in found.items if item.is_good and item.split == "test"),
        bad=tuple(bad),
        digest=_digest([*training, *bad]),
        lines=(*lines, *_sizes(training)),
    )


NO_BAD = "no defective parts: made-up defects alone show whether any are found; put some into a folder bad"


def unfit(found: Look) -> list[str]:
    """What looks unfit among the good parts, a line each. Raises DataError for a damaged picture."""
    every = [*found.good, *found.evidence, *found.held]
    some = every[:: max(1, len(every) // SEEN_AT_MOST)]
    seen: Sequence[Seen] = [see(item.image.name, read_image(item.image)) for item in some]
    checked = check(seen)
    lines = [f"{shown(one.name)}: {one.words}" for one in checked.findings[:NAMED]]
    if (more := len(checked.findings) - NAMED) > 0:
        lines.append(f"and {more} more pictures that should be looked at")
    for item in found.bad:
        read_image(item.image)
    return [*lines, *checked.words]


def _sizes(items: Sequence[Item]) -> list[str]:
    try:
        sizes = [images.size_of(item.image) for item in items]
    except images.ImageError as error:
        raise DataError(str(error)) from error
    shorter = [min(size) for size in sizes]
    if min(shorter) < SMALLEST_PX:
        small = items[shorter.index(min(shorter))]
        raise DataError(
            f"{shown(str(small.image))}: {min(shorter)} pixels are too few, give at least {SMALLEST_PX}"
        )
    widths, heights = ([size[axis] for size in sizes] for axis in (0, 1))
    if len(set(sizes)) == 1:
        return [f"pictures of {widths[0]} x {heights[0]} pixels"]
    across, down = f"{min(widths)} to {max(widths)}", f"{min(heights)} to {max(heights)}"
    return [f"pictures of {across} x {down} pixels; of one camera, one size is judged"]


def _digest(items: Sequence[Item]) -> str:
    """Of names and sizes in bytes."""
    every = "\n".join(f"{item.image}\t{item.image.stat().st_size}" for item in items)
    return hashlib.sha256(every.encode("utf-8", "surrogateescape")).hexdigest()
