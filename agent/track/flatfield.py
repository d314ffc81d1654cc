"""Column by column correction of light and sensor: out = (raw - dark[x]) * gain[x].

Dark levels and gains come from a calibration (`agent/track/calibration.py`): the mean of some thousand lines
of the covered lens and of an even white target, taken with the exposure that is used for inspection.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from agent.errors import PlumblineError
from agent.messages import Floats, Samples

GAIN_BYTES = 128 * 1024  # of a block's gains: they, the block and its dark levels stay in the cache
DEAD_RATIO = 0.02  # of the usual span between dark and white


class FlatFieldError(PlumblineError):
    """The calibration cannot be used; the message names camera, file, value and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatField:
    """Dark level and gain for each column and channel, and how dead columns are drawn."""

    source: str  # camera and file, for messages
    bit_depth: int
    dark: Samples  # (rows, width, channels): the same row repeated for a block, OpenCV does not broadcast
    gain: Floats  # (rows, width, channels)
    dead: npt.NDArray[np.intp]  # (dead,) columns
    left: npt.NDArray[np.intp]  # (dead,) nearest good column to the left
    right: npt.NDArray[np.intp]  # (dead,) and to the right; the same one at a border
    share: Floats  # (dead,) of the right one

    def correct(self, image: Samples, bit_depth: int = 8) -> Samples:
        """The corrected picture, a new one; raises FlatFieldError for another width, channels or depth."""
        _check(self, image, bit_depth)
        raw = image.reshape(len(image), -1)  # (lines, width * channels)
        out = np.empty_like(raw)
        rows = len(self.dark)
        dark, gain = self.dark.reshape(rows, -1), self.gain.reshape(rows, -1)
        code = cv2.CV_8U if self.bit_depth == 8 else cv2.CV_16U
        for top in range(0, len(raw), rows):
            block = out[top : top + rows]
            cv2.subtract(raw[top : top + rows], dark[: len(block)], dst=block)
            cv2.multiply(block, gain[: len(block)], dst=block, dtype=code)
            if 8 < self.bit_depth < 16:  # the others saturate by their type
                np.minimum(block, (1 << self.bit_depth) - 1, out=block)
        corrected = out.reshape(image.shape)
        if self.dead.size:
            share = self.share[:, np.newaxis]
            between = corrected[:, self.left] * (1 - share) + corrected[:, self.right] * share
            corrected[:, self.dead] = np.rint(between)
        return corrected


def flat_field(
    dark: Floats | None, white: Floats, *, max_gain: float, bit_depth: int = 8, source: str = "flat field"
) -> FlatField:
    """Gains that bring every column to the median brightness of its channel.

    `dark` and `white` are column means (width, channels), in grey values of `bit_depth`; without a dark one
    black is 0. The dark level is rounded to whole grey values, because the fast path subtracts whole ones.
    Raises FlatFieldError for two that do not belong together.
    """
    if dark is not None and dark.shape != white.shape:
        raise FlatFieldError(
            f"{source}: dark is {_size(dark.shape)}, white is {_size(white.shape)}; take both with the same"
            " camera and settings"
        )
    floor = np.zeros(white.shape) if dark is None else np.rint(dark)
    span = white.astype(np.float64) - floor  # (width, channels)
    target = np.median(span, axis=0)
    if target.min() < 1:
        raise FlatFieldError(f"{source}: white is no brighter than dark; take both again, or swap them")
    is_dead = (span < DEAD_RATIO * target).any(axis=1)
    good = np.flatnonzero(~is_dead)
    dead = np.flatnonzero(is_dead)
    after = np.searchsorted(good, dead)
    left, right = good[np.maximum(after - 1, 0)], good[np.minimum(after, len(good) - 1)]
    left = np.where(after == 0, right, left)
    gain = np.clip(target / np.maximum(span, DEAD_RATIO * target), 1 / max_gain, max_gain)
    rows = max(1, GAIN_BYTES // (span.size * 4))
    return FlatField(
        source=source,
        bit_depth=bit_depth,
        dark=np.tile(floor.astype(np.uint8 if bit_depth == 8 else np.uint16), (rows, 1, 1)),
        gain=np.tile(gain.astype(np.float32), (rows, 1, 1)),
        dead=dead,
        left=left,
        right=right,
        share=((dead - left) / np.maximum(right - left, 1)).astype(np.float32),
    )


def correct_plain(field: FlatField, image: Samples) -> Samples:
    """What `FlatField.correct` computes, in floating point and without blocks."""
    white = (1 << field.bit_depth) - 1
    out = np.clip((image.astype(np.float64) - field.dark[0]) * field.gain[0], 0, white)
    share = field.share[:, np.newaxis].astype(np.float64)
    out[:, field.dead] = out[:, field.left] * (1 - share) + out[:, field.right] * share
    corrected: Samples = np.rint(out).astype(image.dtype)
    return corrected


def _check(field: FlatField, image: Samples, bit_depth: int) -> None:
    if image.shape[1:] != field.dark.shape[1:] or bit_depth != field.bit_depth:
        raise FlatFieldError(
            f"{field.source}: it is {_size(field.dark.shape[1:])} of {field.bit_depth} bits, the camera gives"
            f" {_size(image.shape[1:])} of {bit_depth} bits; calibrate this camera anew with"
            " `plumbline calibrate flat`, or remove flat_field.file"
        )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} px wide with {shape[1]} channels"
