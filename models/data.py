"""Data sets on disk: MVTec-AD folders, a manifest.csv, or VisA's split csv; tiles as the device cuts them.

Masks are never grown or shrunk: they are read at the image's own size and resized by nearest neighbour.
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from agent.bundle import InputSpec
from agent.cameras import images
from agent.errors import PlumblineError
from agent.line.prepare import cut_tiles, scaled, with_channels
from agent.messages import Flags, Pixels


class DataError(PlumblineError):
    """The data set cannot be used; says which file and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture of a data set."""

    image: Path
    split: str  # train or test
    defect: str  # "good" or the defect's name
    mask: Path | None = None
    folder: Path = Path()  # of its data set
    product: str = ""  # the name of that folder

    @property
    def is_good(self) -> bool:
        return self.defect == "good"


def load_items(root: Path) -> list[Item]:
    """Every picture below `root`, in path order. Raises DataError when no known layout is there."""
    if (root / "manifest.csv").is_file():
        items = _from_manifest(root)
    elif (root / "split_csv" / "1cls.csv").is_file():
        items = _from_visa(root)
    elif (root / "train" / "good").is_dir():
        items = _from_mvtec(root)
    else:
        raise DataError(
            f"{root}: neither train/good (MVTec-AD), manifest.csv nor split_csv/1cls.csv (VisA) is there; "
            "give the folder of one category, or write one with `plumbline-lab sample elpv --out DIR`"
        )
    missing = [str(item.image) for item in items if not item.image.is_file()]
    if missing:
        raise DataError(f"{root}: {len(missing)} listed images are missing, first {missing[0]}")
    named = [replace(item, folder=root, product=root.resolve().name) for item in items]
    return sorted(named, key=lambda item: str(item.image))


def good_training(items: Sequence[Item], root: Path) -> list[Item]:
    """The training split, which holds good parts only."""
    chosen = [item for item in items if item.split == "train" and item.is_good]
    if not chosen:
        raise DataError(f"{root}: no good training images; put them into train/good")
    return chosen


def hold_out(items: Sequence[Item], every: int) -> tuple[list[Item], list[Item]]:
    """Training items and every n-th run of 20 neighbours held back for calibration.

    Runs, not single pictures: neighbours in name order are often the same physical item. Raises DataError
    when there are too few to hold any back.
    """
    if len(items) < every:
        raise DataError(
            f"{len(items)} good training pictures are too few to hold any back; give at least {every}"
        )
    kept: list[Item] = []
    held: list[Item] = []
    run = min(20, max(1, len(items) // (2 * every)))
    for index, item in enumerate(items):
        (held if (index // run) % every == every - 1 else kept).append(item)
    return kept, held


def read_image(path: Path, channels: int | None = None) -> Pixels:
    """uint8 (H, W, C) as the device reads it, mono or RGB as the file is, or converted to `channels`."""
    try:
        picture = images.read_image(path)
    except images.ImageError as error:
        raise DataError(str(error)) from error
    return picture if channels is None else with_channels(picture, channels)


def read_mask(item: Item, shape: tuple[int, int]) -> Flags | None:
    """Where the defect is, (H, W) bool; None when the set has no mask for this defective picture."""
    if item.is_good:
        return np.zeros(shape, np.bool_)
    if item.mask is None:
        return None
    mask = cv2.imread(str(item.mask), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != shape:
        raise DataError(f"{item.mask}: not a readable mask of {shape[1]} x {shape[0]} pixels like its image")
    flags: Flags = mask > 0
    return flags


def input_spec(items: Sequence[Item], tile_px: int) -> InputSpec:
    """The input that these pictures ask for: the shorter side of a typical one fills a tile."""
    pictures = [read_image(item.image) for item in items[:: max(1, len(items) // 16)]]
    channels = 3 if any(picture.shape[2] == 3 for picture in pictures) else 1
    shorter = int(np.median([min(picture.shape[:2]) for picture in pictures]))
    return InputSpec(
        channels=channels, tile_px=tile_px, overlap_px=tile_px // 8, scale=round(tile_px / shorter, 6)
    )


def load_tiles(items: Sequence[Item], spec: InputSpec) -> Pixels:
    """Every tile of every picture as the device would cut it, uint8 (N, tile, tile, C)."""
    tiles = []
    for item in items:
        picture = scaled(read_image(item.image, spec.channels), spec)
        tiles.append(cut_tiles(picture, spec)[0])
    return np.concatenate(tiles)


def _from_mvtec(root: Path) -> list[Item]:
    items = []
    for path in sorted(root.glob("*/*/*")):
        split, defect = path.parts[-3:-1]
        if split not in ("train", "test") or path.suffix.lower() not in images.SUFFIXES:
            continue
        mask = next(
            iter(sorted((root / "ground_truth" / defect).glob(f"{glob.escape(path.stem)}_mask.*"))), None
        )
        items.append(Item(image=path, split=split, defect=defect, mask=mask))
    return items


def _from_manifest(root: Path) -> list[Item]:
    return [
        Item(
            image=root / row["image"],
            split=row["split"],
            defect=row["defect"] if row["label"] == "1" else "good",
            mask=root / row["mask"] if row["mask"] else None,
        )
        for row in _rows(root / "manifest.csv", ("split", "label", "defect", "image", "mask"))
    ]


def _from_visa(root: Path) -> list[Item]:
    return [
        Item(
            image=root / row["image"],
            split=row["split"],
            defect="good" if row["label"] == "normal" else "anomaly",
            mask=root / row["mask"] if row["mask"] else None,
        )
        for row in _rows(root / "split_csv" / "1cls.csv", ("split", "label", "image", "mask"))
    ]


def _rows(path: Path, wanted: tuple[str, ...]) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        reader = csv.DictReader(file, restval="")
        missing = [name for name in wanted if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(wanted)}"
            )
        return list(reader)
