"""Column by column correction of light and sensor: out = (raw - dark[x]) * gain[x].

References are 8 bit pictures of the covered lens and of an even white target, some thousand lines
each, not saturated, taken with the exposure that is used for inspection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from agent import web_settings
from agent.cameras.images import ImageError, read_image
from agent.errors import PlumblineError
from agent.messages import Floats, Pixels

BLOCK_BYTES = 256 * 1024  # a block and its gains stay in the cache
DEAD_RATIO = 0.02  # of the usual span between dark and white


class FlatFieldError(PlumblineError):
    """The references cannot be used; the message names the file or the size, and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatField:
    """Dark level and gain for each column and channel, and how dead columns are drawn."""

    dark: Pixels  # (rows, width, channels): the same row repeated for a block, OpenCV does not broadcast
    gain: Floats  # (rows, width, channels)
    dead: npt.NDArray[np.intp]  # (dead,) columns
    left: npt.NDArray[np.intp]  # (dead,) nearest good column to the left
    right: npt.NDArray[np.intp]  # (dead,) and to the right; the same one at a border
    share: Floats  # (dead,) of the right one

    @classmethod
    def from_references(cls, dark: Pixels | None, white: Pixels, max_gain: float) -> FlatField:
        """Gains that bring every column to the median brightness of its channel.

        The dark level is rounded to whole grey values, because the fast path subtracts in 8 bits.
        """
        if dark is not None and dark.shape[1:] != white.shape[1:]:
            raise FlatFieldError(
                f"dark reference is {_size(dark)}, white is {_size(white)}; take both with the same settings"
            )
        floor = np.zeros(white.shape[1:]) if dark is None else np.rint(dark.mean(axis=0))
        span = white.mean(axis=0) - floor  # (width, channels)
        target = np.median(span, axis=0)
        if target.min() < 1:
            raise FlatFieldError(
                "white reference is no brighter than the dark one; take both again, or swap them"
            )
        is_dead = (span < DEAD_RATIO * target).any(axis=1)
        good = np.flatnonzero(~is_dead)
        dead = np.flatnonzero(is_dead)
        after = np.searchsorted(good, dead)
        left, right = good[np.maximum(after - 1, 0)], good[np.minimum(after, len(good) - 1)]
        left = np.where(after == 0, right, left)
        gain = np.clip(target / np.maximum(span, DEAD_RATIO * target), 1 / max_gain, max_gain)
        rows = max(1, BLOCK_BYTES // span.size)
        return cls(
            dark=np.tile(floor.astype(np.uint8), (rows, 1, 1)),
            gain=np.tile(gain.astype(np.float32), (rows, 1, 1)),
            dead=dead,
            left=left,
            right=right,
            share=((dead - left) / np.maximum(right - left, 1)).astype(np.float32),
        )

    def correct(self, image: Pixels) -> Pixels:
        """The corrected picture, a new one; raises FlatFieldError for another width or channel count."""
        _check(self, image)
        raw = image.reshape(len(image), -1)  # (lines, width * channels)
        out = np.empty_like(raw)
        rows = len(self.dark)
        dark, gain = self.dark.reshape(rows, -1), self.gain.reshape(rows, -1)
        for top in range(0, len(raw), rows):
            block = out[top : top + rows]
            cv2.subtract(raw[top : top + rows], dark[: len(block)], dst=block)
            cv2.multiply(block, gain[: len(block)], dst=block, dtype=cv2.CV_8U)
        corrected = out.reshape(image.shape)
        if self.dead.size:
            share = self.share[:, np.newaxis]
            between = corrected[:, self.left] * (1 - share) + corrected[:, self.right] * share
            corrected[:, self.dead] = np.rint(between)
        return corrected


def correct_plain(field: FlatField, image: Pixels) -> Pixels:
    """What `FlatField.correct` computes, in floating point and without blocks."""
    _check(field, image)
    out = np.clip((image.astype(np.float64) - field.dark[0]) * field.gain[0], 0, 255)
    share = field.share[:, np.newaxis].astype(np.float64)
    out[:, field.dead] = out[:, field.left] * (1 - share) + out[:, field.right] * share
    corrected: Pixels = np.rint(out).astype(np.uint8)
    return corrected


def load(flat_field: web_settings.FlatField) -> FlatField | None:
    """The correction that the settings ask for, None where they ask for none; raises FlatFieldError."""
    if flat_field.white is None:
        return None
    white = _reference(flat_field.white, "white")
    dark = None if flat_field.dark is None else _reference(flat_field.dark, "dark")
    try:
        return FlatField.from_references(dark, white, flat_field.max_gain)
    except FlatFieldError as error:
        raise FlatFieldError(f"flat_field.white {flat_field.white}: {error}") from error


def _reference(file: Path, which: str) -> Pixels:
    try:
        return read_image(file)
    except ImageError as error:
        raise FlatFieldError(f"flat_field.{which} {error}") from error


def _check(field: FlatField, image: Pixels) -> None:
    if image.shape[1:] != field.dark.shape[1:]:
        raise FlatFieldError(
            f"flat field is {_size(field.dark)}, the camera gives {_size(image)};"
            " take the references with this camera, or remove flat_field"
        )


def _size(image: Pixels) -> str:
    return f"{image.shape[1]} px wide with {image.shape[2]} channels"
