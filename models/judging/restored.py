"""How much of a defect is left in the restoration: one counts when the defect is gone in it."""

from __future__ import annotations

import cv2
import numpy as np

from agent.messages import Flags, Pixels

RING_PX = 6  # around a defect: what it stands out from
APART_PX = 2  # between the two, because edges of masks are rough
FAINTEST = 4.0  # grey levels (root of the mean square): what stands out by less cannot be told from texture


def remaining(picture: Pixels, restored: Pixels, mask: Flags) -> float | None:
    """The share of a defect's contrast that its restoration still shows: 1 is all of it, 0 none.

    `picture` and `restored` are uint8 (H, W, C), `mask` (H, W) says where the defect is. With d and r the
    difference of both from the mean of the defect's own surroundings, it is sum(d r) / sum(d d) over the
    defect. Below 0 a dark defect became a light one. None where nothing stands out, as under a mask that
    is empty or covers all.
    """
    seen, kept, count = 0.0, 0.0, 0
    around = cv2.dilate(mask.astype(np.uint8), _disc(APART_PX)) > 0
    number, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    margin = APART_PX + RING_PX
    for index in range(1, number):
        left, top, width, height = boxes[index, :4]
        place = (
            slice(max(0, top - margin), top + height + margin),
            slice(max(0, left - margin), left + width + margin),
        )
        defect = labels[place] == index
        ring = (cv2.dilate(defect.astype(np.uint8), _disc(margin)) > 0) & ~around[place]
        if not ring.any():
            continue
        difference, shown = (
            image[place][defect].astype(np.float64) - image[place][ring].mean(0)
            for image in (picture, restored)
        )
        seen += float((difference**2).sum())
        kept += float((difference * shown).sum())
        count += difference.size
    if not count or seen / count < FAINTEST**2:
        return None
    return kept / seen


def _disc(radius: int) -> Pixels:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
