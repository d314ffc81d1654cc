"""Data sets on disk, in any layout that people have them in; tiles as the device cuts them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.bundle.bundle import InputSpec
from agent.foreign import shown
from agent.line.prepare import cut_tiles, scaled
from agent.messages import Pixels
from models.data import folders, lists
from models.data.items import DataError, DataSet, Item
from models.data.pictures import check_pictures, read_image, read_mask

__all__ = [
    "DataError",
    "DataSet",
    "Item",
    "check_pictures",
    "good_training",
    "hold_out",
    "input_spec",
    "load_items",
    "load_tiles",
    "read_image",
    "read_mask",
    "read_set",
    "summary",
]


def load_items(root: Path) -> list[Item]:
    """Every picture below `root`, in path order. Raises what `read_set` does."""
    return read_set(root).items


def read_set(root: Path) -> DataSet:
    """Every picture below `root`, in path order, and what is left out.

    Raises DataError when no known layout is there, when files are missing, when a mask has no image and when
    a training picture is judged too.
    """
    found = _in_layout(root)
    missing = [
        path for item in found.items for path in (item.image, item.mask) if path and not path.is_file()
    ]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} listed files are missing, first {missing[0]}; put them there or take "
            "their lines out of the list"
        )
    _refuse_leaks(found.items)
    name = root.resolve().name
    named = [replace(item, folder=root, product=item.product or name) for item in found.items]
    return DataSet(items=sorted(named, key=lambda item: str(item.image)), left_out=found.left_out)


def summary(root: Path, found: DataSet) -> list[str]:
    """What was read below `root` and what was not, a line each."""
    lines = []
    for product in sorted({item.product for item in found.items}):
        own = [item for item in found.items if item.product == product]
        good, bad = ([item for item in own if item.is_good == wanted] for wanted in (True, False))
        training, judged, defective = (
            sum(item.split == "train" for item in good),
            sum(item.split == "test" for item in good),
            sum(item.split == "test" for item in bad),
        )
        lines.append(
            f"{root}: {shown(product)}: {training} good to train on, {judged} good and {defective} defective "
            "to judge"
        )
        if spoilt := len(bad) - defective:
            lines.append(f"{root}: {shown(product)}: left out: {spoilt} defective of the training split")
        unmarked = sum(item.mask is None for item in bad if item.split == "test")
        if 0 < unmarked < defective:
            lines.append(f"{root}: {shown(product)}: {unmarked} defective ones have no mask")
    lines += [f"{root}: left out: {count} {reason}" for reason, count in sorted(found.left_out.items())]
    return lines


def _in_layout(root: Path) -> DataSet:
    if not root.exists():
        raise DataError(f"{root}: does not exist; check the path")
    if not root.is_dir():
        raise DataError(f"{root}: is a file; give the folder of a data set")
    try:
        if not any(root.iterdir()):
            raise DataError(f"{root}: is empty; put pictures of good parts there")
    except OSError as error:
        raise DataError(f"{root}: cannot be listed ({error.strerror}); check its permissions") from error
    if (root / "manifest.csv").is_file():
        return lists.from_manifest(root)
    if (root / "split_csv" / "1cls.csv").is_file():
        return lists.from_visa(root)
    if folders.is_mvtec(root):
        return folders.from_mvtec(root)
    found = folders.from_plain(root)
    if not found.items:
        why = "".join(f"; {count} {reason}" for reason, count in sorted(found.left_out.items()))
        raise DataError(
            f"{root}: holds no pictures of good parts, and neither train/good (MVTec-AD), manifest.csv nor "
            "split_csv/1cls.csv (VisA) is there; give the folder of one category, or write one with "
            f"`plumbline-lab sample elpv --out DIR`{why}"
        )
    return found


def good_training(items: Sequence[Item], root: Path) -> list[Item]:
    """The training split, which holds good parts only."""
    chosen = [item for item in items if item.split == "train" and item.is_good]
    if not chosen:
        raise DataError(f"{root}: no good training images; put them into train/good, or list them so")
    return chosen


def hold_out(items: Sequence[Item], every: int) -> tuple[list[Item], list[Item]]:
    """Training items and every n-th run of 20 neighbours held back for calibration.

    Runs, not single pictures: neighbours in name order are often the same physical item. Raises DataError
    when there are too few to hold any back.
    """
    if len(items) < every:
        places = ", ".join(sorted({str(item.image.parent) for item in items}))
        raise DataError(
            f"{places}: good training pictures: {len(items)}, too few to hold any back; give at least {every}"
        )
    kept: list[Item] = []
    held: list[Item] = []
    run = min(20, max(1, len(items) // (2 * every)))
    for index, item in enumerate(items):
        (held if (index // run) % every == every - 1 else kept).append(item)
    return kept, held


def input_spec(items: Sequence[Item], tile_px: int) -> InputSpec:
    """The input that these pictures ask for: the shorter side of a typical one fills a tile."""
    pictures = [read_image(item.image) for item in items[:: max(1, len(items) // 16)]]
    channels = 3 if any(picture.shape[2] == 3 for picture in pictures) else 1
    shorter = int(np.median([min(picture.shape[:2]) for picture in pictures]))
    return InputSpec(
        channels=channels, tile_px=tile_px, overlap_px=tile_px // 8, scale=round(tile_px / shorter, 6)
    )


def load_tiles(items: Iterable[Item], spec: InputSpec) -> Pixels:
    """Every tile of every picture as the device would cut it, uint8 (N, tile, tile, C)."""
    tiles = []
    for item in items:
        picture = scaled(read_image(item.image, spec.channels), spec)
        tiles.append(cut_tiles(picture, spec)[0])
    return np.concatenate(tiles)


def _refuse_leaks(items: Sequence[Item]) -> None:
    """Figures on pictures that were trained on say nothing. Only files of equal size are read."""
    sizes = {item.image: item.image.stat().st_size for item in items}
    train, test = ([item.image for item in items if item.split == split] for split in ("train", "test"))
    shared = {sizes[path] for path in train} & {sizes[path] for path in test}
    known = {_digest(path): path for path in train if sizes[path] in shared}
    twins = {path: known.get(_digest(path)) for path in test if sizes[path] in shared}
    leaks = [(path, twin) for path, twin in twins.items() if twin]
    if leaks:
        path, twin = leaks[0]
        raise DataError(
            f"{path}: the same picture as {twin}, so it would be trained on and judged; remove one of them "
            f"({len(leaks)} such pictures)"
        )


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
