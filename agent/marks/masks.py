"""Where a defect is, from the anomaly map that the archive keeps: pure."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from agent.archive.entry import Entry
from agent.messages import Pixels

HOW = "the anomaly map at or above the threshold of then, within the boxes of the verdict's defects"
OF_ONE = "the anomaly map at or above the threshold of then, within the box of the defect that was marked"
NONE = "none: the map of then shows no defect, so its place is not known"


def mask_of(kept: Entry, defect_index: int | None) -> tuple[Pixels | None, str]:
    """(lines, width, 1), 255 where the defect is, and how it was made; None where nobody knows."""
    score, evidence, defects = kept.verdict.score, kept.evidence, kept.verdict.defects
    if score is None or evidence is None or not defects:
        return None, NONE
    lines, width = kept.frame.image.shape[:2]
    cells = np.nan_to_num(evidence, nan=np.inf) >= np.float32(score.threshold)
    strong = cv2.resize(cells.astype(np.uint8), (width, lines), interpolation=cv2.INTER_NEAREST)
    within = np.zeros((lines, width), np.uint8)
    for one in defects:
        if defect_index in (None, one.index):
            x, y, across, down = one.bbox_px
            within[max(0, y) : y + down, max(0, x) : x + across] = 255
    mask = cast(Pixels, (within * strong)[..., None])
    if not mask.any():
        return None, NONE
    return mask, HOW if defect_index is None else OF_ONE
