"""A trigger whose picture cannot be used or kept: what is left of its frame."""

from __future__ import annotations

from typing import cast

import numpy as np

from agent.messages import Frame, FrameFault, Pixels
from agent.track.depth import eight_bits

THUMBNAIL_PX = 320


def without_picture(frame: Frame, reason: str, detail: str) -> FrameFault:
    """What is left of a frame without its picture: its place, and a thumbnail for the page."""
    return FrameFault(
        camera=frame.camera,
        frame_id=frame.frame_id,
        reason=reason,
        detail=detail,
        captured_ns=frame.captured_ns,
        captured_at=frame.captured_at,
        first_line=frame.first_line,
        encoder=frame.encoder,
        epoch=frame.epoch,
        lines_lost=frame.lines_lost,
        part_id=frame.part_id,
        thumbnail=_thumbnail(frame),
    )


def _thumbnail(frame: Frame) -> Pixels | None:
    """Every so manieth pixel: half a millisecond of 24 megapixels, where averages take fifty."""
    image = frame.image
    if image.size == 0 or image.ndim != 3 or image.dtype not in (np.uint8, np.uint16):
        return None  # no picture at all: the record says so
    step = -(-max(image.shape[:2]) // THUMBNAIL_PX)
    few = image[::step, ::step].copy()
    if few.dtype != np.uint16:
        return cast(Pixels, few)
    return eight_bits(few, frame.bit_depth if frame.bit_depth > 8 else 16)
