"""JPEG: libjpeg-turbo, strict, where OpenCV's goes on after a warning and makes up what is missing.

Entropy-coded data has no checksum: a small change that still decodes to the right number of blocks is
not known. DECISIONS.md says how often.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import simplejpeg

from agent.cameras.formats.described import Damaged, Described
from agent.messages import Pixels

MAGIC = b"\xff\xd8"


def describe(data: bytes) -> Described:
    """Raises Damaged."""
    height, width, _ = _header(data)
    return Described(width=width, height=height)


def decode(data: bytes) -> Pixels | None:
    """(h, w, 1 or 3), BGR; None for a whole file in a colour space for printing. Raises Damaged."""
    space = _header(data)[2]
    wanted = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(space, "BGR")
    picture = _strict(simplejpeg.decode_jpeg, data, wanted)
    return None if wanted == "CMYK" else cast(Pixels, np.asarray(picture))


def _header(data: bytes) -> tuple[int, int, str]:
    height, width, space, _ = _strict(simplejpeg.decode_jpeg_header, data)
    return height, width, space


def _strict(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments, strict=True)
    except ValueError as error:
        raise Damaged(f"the decoder says: {error}") from error
