"""Pictures and masks from files. Masks are never grown or shrunk, and are held against what a mask can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.cameras import images
from agent.line.prepare import with_channels
from agent.messages import Flags, Pixels
from models.data.items import DataError, Item
from models.stages import SILENT, Stages

LEVELS = 16  # of a drawn mask at most; more are a lossy file or soft edges
NEARLY_FULL = 0.9
JPEG = b"\xff\xd8"


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
    border = np.concatenate([flags[0], flags[-1], flags[:, 0], flags[:, -1]]).mean()
    share = float(flags.mean())
    if share > NEARLY_FULL or (share > 0.5 and border > 0.5):
        raise DataError(
            f"{item.mask}: marks {share:.0%} of the picture, so it is probably inverted; the defect must be "
            "bright and all else black"
        )
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
    """What the mask in a file marks, and whether its levels had to be cut in the middle."""
    levels = _levels(path)
    found = np.unique(levels)
    soft = _is_jpeg(path) or len(found) > LEVELS
    if not soft:
        return levels > 0, False
    top = float(found[-1])
    if levels.dtype == np.uint8 and 0 < top < LEVELS:
        raise DataError(f"{path}: its few levels are lost in a lossy file; save the mask as PNG")
    return levels > top / 2, True


def _levels(path: Path) -> npt.NDArray[Any]:
    """The strongest channel of the mask, (H, W); transparency counts where no colour differs."""
    try:
        # At any depth, or class 1 of a 16-bit mask would become 0; unturned, as its image is read.
        mask: npt.NDArray[Any] = images.read_stored(path)
    except images.ImageError as error:
        raise DataError(str(error)) from error
    if mask.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: has {mask.dtype} pixels; save the mask with 8 or 16 bits")
    if mask.ndim == 2:
        return mask
    colours: npt.NDArray[Any] = mask[..., :3].max(2)
    alpha = mask[..., 3] if mask.shape[2] == 4 else None
    if alpha is None or (alpha == alpha[0, 0]).all():
        return colours
    if (mask[..., :3] == mask[0, 0, :3]).all():
        return alpha
    return np.where(alpha > 0, colours, 0).astype(mask.dtype)


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(JPEG)) == JPEG
