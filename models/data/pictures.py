"""Pictures and masks from files. Masks are never grown or shrunk, and are held against what a mask can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent.cameras import images, masks
from agent.line.prepare import with_channels
from agent.messages import Flags, Pixels
from models.data.items import DataError, Item
from models.stages import SILENT, Stages


def read_image(path: Path, channels: int | None = None) -> Pixels:
    """uint8 (H, W, C) as the device reads it, mono or RGB as the file is, or converted to `channels`."""
    try:
        picture = images.read_image(path)
    except images.ImageError as error:
        raise DataError(str(error)) from error
    return picture if channels is None else with_channels(picture, channels)


def read_mask(item: Item, shape: tuple[int, int]) -> Flags | None:
    """Where the defect is, (H, W) bool; None when the set has no mask for this defective picture.

    Raises DataError for one of another size, an empty or nearly full one of a defective part, and one of a
    good part that is not empty.
    """
    if item.mask is None:
        return np.zeros(shape, np.bool_) if item.is_good else None
    flags, _ = _marked(item.mask)
    if flags.shape != shape:
        raise DataError(
            f"{item.mask}: a mask of {flags.shape[1]} x {flags.shape[0]} pixels for an image of {shape[1]} x "
            f"{shape[0]}; draw it at the size of {item.image}"
        )
    if item.is_good:
        if flags.any():
            raise DataError(
                f"{item.mask}: marks a defect on {item.image}, which is good; correct one of them"
            )
        return flags
    if not flags.any():
        raise DataError(f"{item.mask}: is empty, yet {item.image} is defective; draw it or remove the mask")
    if (why := masks.inverted(flags)) is not None:
        raise DataError(f"{item.mask}: {why}")
    return flags


def check_pictures(items: Sequence[Item], stages: Stages = SILENT) -> list[Path]:
    """Read every picture and mask once: what is bad is told before hours of work. Raises DataError.

    Returns the masks that had to be cut in the middle, because their levels are blurred.
    """
    soft = []
    for item in stages.over(items, "checking pictures and masks"):
        height, width = read_image(item.image).shape[:2]
        read_mask(item, (height, width))
        if item.mask is not None and _marked(item.mask)[1]:
            soft.append(item.mask)
    return soft


def _marked(path: Path) -> tuple[Flags, bool]:
    try:
        return masks.marked(path)
    except images.ImageError as error:
        raise DataError(str(error)) from error
