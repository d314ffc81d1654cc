"""Why a frame was judged as it was, in sentences: pure. They describe; what decides is the score alone."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from agent.line.taught import LIMIT
from agent.messages import Box, Floats, Pixels

BANDS: tuple[tuple[float, str], ...] = (  # in pixels, of the sigma that ends it
    (2.0, "in fine texture, up to 4 pixels across"),
    (4.0, "in texture of about 8 pixels"),
    (8.0, "in structure of about 16 pixels"),
)
WIDE = "in brightness over a wider area"
EVEN_GREY = 3.0  # of 255; less is not called brighter or darker


def of_map(evidence: Floats, threshold: float, size: tuple[int, int]) -> list[str]:
    """What the evidence says of a frame of this width and height."""
    if not np.isfinite(evidence).all():
        return ["The evidence is not a number in places; the engine failed on this frame."]
    row, column = np.unravel_index(int(evidence.argmax()), evidence.shape)
    x = round((float(column) + 0.5) / evidence.shape[1] * size[0])
    y = round((float(row) + 0.5) / evidence.shape[0] * size[1])
    strongest = float(evidence.max()) / threshold
    share = float((evidence >= threshold).mean())
    middle = float(np.median(evidence)) / threshold
    above = (
        "No part of the picture is above it"
        if share == 0
        else f"{_percent(share)} of the picture is above it"
    )
    if middle > LIMIT:
        rest = "The whole picture looks foreign to the model: check light, focus and product"
    else:
        rest = "The rest looks like good parts"
    return [
        f"The strongest spot, at x {x}, y {y}, has {strongest:.2f} times the threshold.",
        f"{above}.",
        f"{rest}: its evidence is mostly {middle:.0%} of the threshold.".replace("%", " %"),
    ]


def of_restoration(image: Pixels, restored: Pixels, box: Box) -> str:
    """How a place differs from what a good part would look like there; both are (h, w) or (h, w, c)."""
    x, y, width, height = box
    pad = max(width, height) // 2 + 16
    rows, columns = slice(max(0, y - pad), y + height + pad), slice(max(0, x - pad), x + width + pad)
    difference = _grey(image)[rows, columns] - _grey(restored)[rows, columns]
    top, left = y - rows.start, x - columns.start
    inner = (slice(top, top + height), slice(left, left + width))
    bands, coarse = [], difference
    for sigma, words in BANDS:
        wider = cv2.GaussianBlur(difference, (0, 0), sigma).astype(np.float32, copy=False)
        bands.append((float(np.square((coarse - wider)[inner]).mean()), words))
        coarse = wider
    bands.append((float(np.square(coarse[inner]).mean()), WIDE))
    mostly = max(bands)[1]
    mean = float(difference[inner].mean())
    tone = (
        ""
        if abs(mean) < EVEN_GREY
        else f", and is {abs(mean):.0f} grey values {'darker' if mean < 0 else 'brighter'}"
    )
    return f"There it differs from its restoration mostly {mostly}{tone}."


def _grey(image: Pixels) -> npt.NDArray[np.float32]:
    flat = image if image.ndim == 2 else image.mean(axis=2)
    return flat.astype(np.float32)


def _percent(share: float) -> str:
    return "less than 0.01 %" if share < 0.0001 else f"{100 * share:.2g} %"
