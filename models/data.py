"""Data sets on disk: MVTec-AD folders, a manifest.csv, or VisA's split csv; tiles as the device cuts them.

Masks are never grown or shrunk: they are read at the image's own size and resized by nearest neighbour.
"""

from __future__ import annotations

import csv
import hashlib
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
    """Every picture below `root`, in path order.

    Raises DataError when no known layout is there, when files are missing, when a mask has no image and when
    a training picture is judged too.
    """
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
    missing = [path for item in items for path in (item.image, item.mask) if path and not path.is_file()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} listed files are missing, first {missing[0]}; put them there or take "
            "their lines out of the list"
        )
    _refuse_leaks(items)
    named = [replace(item, folder=root, product=root.resolve().name) for item in items]
    return sorted(named, key=lambda item: str(item.image))


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
    # At any depth, or class 1 of a 16-bit mask would become 0; unturned, as its image is read.
    mask = cv2.imread(str(item.mask), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    if mask is None:
        raise DataError(f"{item.mask}: is absent, damaged or not an image; replace the mask")
    if mask.shape != shape:
        raise DataError(
            f"{item.mask}: a mask of {mask.shape[1]} x {mask.shape[0]} pixels for an image of {shape[1]} x "
            f"{shape[0]}; draw it at the size of {item.image}"
        )
    flags: Flags = mask > 0
    return flags


def check_pictures(items: Sequence[Item]) -> None:
    """Read every picture and mask once: what is bad is told before hours of work. Raises DataError."""
    for item in items:
        height, width = read_image(item.image).shape[:2]
        read_mask(item, (height, width))


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
    """Masks are named as their images, with `_mask` at the end (MVTec-AD) or without (PCB-Bank)."""
    masks = {(path.parent.name, path.stem): path for path in _pictures(root, "ground_truth/*/*")}
    items = []
    for path in _pictures(root, "t*/*/*"):
        split, defect = path.parts[-3:-1]
        if split in ("train", "test"):
            mask = masks.get((defect, f"{path.stem}_mask"), masks.get((defect, path.stem)))
            items.append(Item(image=path, split=split, defect=defect, mask=mask))
    pictured = {(item.defect, item.image.stem + end) for item in items for end in ("_mask", "")}
    for (defect, _), path in masks.items():
        if (defect, path.stem) not in pictured:
            wanted = root / "test" / defect / path.stem.removesuffix("_mask")
            raise DataError(f"{path}: a mask without its image {wanted}.*; add the image or remove the mask")
    return items


def _pictures(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.suffix.lower() in images.SUFFIXES)


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
