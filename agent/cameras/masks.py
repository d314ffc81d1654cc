"""Masks of defects in files: where they are bright, and whether that can be a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.cameras.images import ImageError, read_stored
from agent.foreign import shown
from agent.messages import Flags

LEVELS = 16  # of a drawn mask at most; more are a lossy file or soft edges
NEARLY_FULL = 0.9
JPEG = b"\xff\xd8"


def marked(path: Path) -> tuple[Flags, bool]:
    """What a mask marks (H, W), and whether its levels had to be cut in the middle. Raises ImageError."""
    levels = _levels(path)
    found = np.unique(levels)
    soft = _is_jpeg(path) or len(found) > LEVELS
    if not soft:
        return levels > 0, False
    top = float(found[-1])
    if levels.dtype == np.uint8 and 0 < top < LEVELS:
        raise ImageError(f"{shown(str(path))}: its few levels are lost in a lossy file; save the mask as PNG")
    return levels > top / 2, True


def inverted(flags: Flags) -> str | None:
    """That a mask of a defective part marks what is good, in words; None where it does not seem so."""
    border = np.concatenate([flags[0], flags[-1], flags[:, 0], flags[:, -1]]).mean()
    share = float(flags.mean())
    if share > NEARLY_FULL or (share > 0.5 and border > 0.5):
        return (
            f"marks {share:.0%} of the picture, so it is probably inverted; the defect must be bright and"
            " all else black"
        )
    return None


def _levels(path: Path) -> npt.NDArray[Any]:
    """The strongest channel of the mask, (H, W); transparency counts where no colour differs."""
    # At any depth, or class 1 of a 16-bit mask would become 0; unturned, as its image is read.
    mask: npt.NDArray[Any] = read_stored(path)
    if mask.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{shown(str(path))}: has {mask.dtype} pixels; save the mask with 8 or 16 bits")
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
