"""Whether the light still is what it was: brightness across the web of good windows.

The mean grey value of BANDS bands across the web, over good windows, is compared with the mean of the
first LEARNED good windows after the start. A band that is off by more than LIMIT for RECENT windows or so
is a warning: a lamp ages or failed at one side, dust or oil lies on the optics, or the product changed.
Not covered: what drifted before the start, since products differ in brightness from the white target.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np

from agent.messages import Floats, Samples

BANDS = 16
LEARNED = 32
RECENT = 32
LIMIT = 0.10
OVER = 0.08  # the warning ends below this, so that it does not flicker


@dataclass(slots=True)
class _Seen:
    count: int = 0
    learned: Floats = field(default_factory=lambda: np.zeros(BANDS, np.float32))
    recent: Floats = field(default_factory=lambda: np.zeros(BANDS, np.float32))
    warning: str | None = None


class Light:
    """Of one camera with a flat field, on the products of each recipe; read by whoever watches."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._lights: dict[str, _Seen] = {}

    def keep(self, recipes: Collection[str]) -> None:
        """Forget what was seen of products that no recipe is for any more."""
        self._lights = {name: one for name, one in self._lights.items() if name in recipes}

    def see(self, image: Samples, recipe: str) -> None:
        """A window that passed by this recipe, after the flat field."""
        bands = levels(image)
        light = self._lights.get(recipe)
        if light is None:
            light = _Seen()
            self._lights = {**self._lights, recipe: light}  # whole, for whoever reads them meanwhile
        light.count += 1
        if light.count <= LEARNED:
            light.learned += (bands - light.learned) / np.float32(light.count)
            light.recent = light.learned.copy()
            return
        light.recent += (bands - light.recent) / np.float32(RECENT)
        change = light.recent / np.maximum(light.learned, 1.0) - 1
        worst = int(np.abs(change).argmax())
        if abs(change[worst]) > (OVER if light.warning else LIMIT):
            light.warning = (
                f"Light of camera {self._camera}: brightness of good windows {change[worst]:+.0%} since the"
                f" start, {(worst + 0.5) / BANDS:.0%} across the web; clean and check the lamp, then"
                " calibrate anew"
            )
        else:
            light.warning = None

    def words(self) -> str | None:
        """The warning, None when all is well."""
        return next((light.warning for light in self._lights.values() if light.warning), None)


def levels(image: Samples) -> Floats:
    """(BANDS,): the mean grey value of each band of columns."""
    columns = cv2.reduce(image.reshape(len(image), -1), 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    width, channels = image.shape[1:]
    grey = np.asarray(columns, np.float32).reshape(width, channels).mean(axis=1)
    return np.array([band.mean() if band.size else 0.0 for band in np.array_split(grey, BANDS)], np.float32)
