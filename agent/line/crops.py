"""Defect crops: cut from the original pixels, encoded until they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from agent import settings
from agent.messages import Box, Defect, Pixels

QUALITIES = (92, 80, 65, 50, 35)
SHRINK = 0.7  # of each side, when the lowest quality is still too large


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """One encoded picture of one defect."""

    crop_id: str
    defect_index: int
    bbox_px: Box  # of the cut, in frame pixels
    image: bytes
    content_type: str
    sha256: str


def cut_crops(
    image: Pixels, defects: tuple[Defect, ...], wanted: settings.Crops, new_id: Callable[[], str]
) -> list[Crop]:
    """The strongest defects, with a margin, each at most `max_bytes` large."""
    crops = []
    for index, defect in enumerate(defects[: wanted.max_per_verdict]):
        box = with_margin(defect.bbox_px, wanted.margin_px, (image.shape[0], image.shape[1]))
        x, y, width, height = box
        data = encode(image[y : y + height, x : x + width], wanted)
        crops.append(
            Crop(
                crop_id=new_id(),
                defect_index=index,
                bbox_px=box,
                image=data,
                content_type=f"image/{wanted.format}",
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    return crops


def with_margin(box: Box, margin_px: int, shape: tuple[int, int]) -> Box:
    """The box grown on every side, inside a frame of `shape` (lines, width)."""
    x, y, width, height = box
    left, top = max(0, x - margin_px), max(0, y - margin_px)
    right, bottom = min(shape[1], x + width + margin_px), min(shape[0], y + height + margin_px)
    return left, top, right - left, bottom - top


def encode(cut: Pixels, wanted: settings.Crops) -> bytes:
    """JPEG or PNG within `max_bytes`: first at lower quality, then smaller."""
    picture = np.ascontiguousarray(cut[..., ::-1])  # OpenCV writes BGR; mono is its own reverse
    while True:
        for quality in QUALITIES if wanted.format == "jpeg" else (0,):
            options = [cv2.IMWRITE_JPEG_QUALITY, quality] if wanted.format == "jpeg" else []
            suffix = ".jpg" if wanted.format == "jpeg" else ".png"
            done, data = cv2.imencode(suffix, picture, options)
            if done and len(data) <= wanted.max_bytes:  # not done: JPEG ends at 65500 pixels a side
                return data.tobytes()
        smaller = max(1, round(picture.shape[1] * SHRINK)), max(1, round(picture.shape[0] * SHRINK))
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), np.uint8)
