"""Whether the light still is what it was: brightness across the web of good windows.

The mean grey value of BANDS bands across the web, over good windows, is compared with the mean of the
first LEARNED good windows after the start. A band that is off by more than LIMIT for RECENT windows or so
is a warning: a lamp ages or failed at one side, dust or oil lies on the optics, or the product changed.
Not covered: what drifted before the start, since products differ in brightness from the white target.
"""

from __future__ import annotations

import cv2
import numpy as np

from agent.messages import Floats, Samples

BANDS = 16
LEARNED = 32
RECENT = 32
LIMIT = 0.10
OVER = 0.08  # the warning ends below this, so that it does not flicker


class Drift:
    """One camera's light; written by its line, read by the watch."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._count = 0
        self._learned: Floats = np.zeros(BANDS, np.float32)
        self._recent: Floats = np.zeros(BANDS, np.float32)
        self._warning: str | None = None

    def see(self, image: Samples) -> None:
        """A window that passed, after the flat field."""
        bands = levels(image)
        self._count += 1
        if self._count <= LEARNED:
            self._learned += (bands - self._learned) / np.float32(self._count)
            self._recent = self._learned.copy()
            return
        self._recent += (bands - self._recent) / np.float32(RECENT)
        change = self._recent / np.maximum(self._learned, 1.0) - 1
        worst = int(np.abs(change).argmax())
        if abs(change[worst]) > (OVER if self._warning else LIMIT):
            self._warning = (
                f"Light of camera {self._camera}: brightness of good windows {change[worst]:+.0%} since the"
                f" start, {(worst + 0.5) / BANDS:.0%} across the web; clean and check the lamp, then"
                " calibrate anew"
            )
        else:
            self._warning = None

    def words(self) -> str | None:
        """The warning, None when all is well."""
        return self._warning


def levels(image: Samples) -> Floats:
    """(BANDS,): the mean grey value of each band of columns."""
    columns = cv2.reduce(image.reshape(len(image), -1), 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    width, channels = image.shape[1:]
    grey = np.asarray(columns, np.float32).reshape(width, channels).mean(axis=1)
    return np.array([band.mean() if band.size else 0.0 for band in np.array_split(grey, BANDS)], np.float32)
