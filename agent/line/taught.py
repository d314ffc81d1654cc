"""Whether the pictures are what the bundle was taught: a model finds nearly all of a foreign picture strange.

A defect is a part of a picture: the median of a frame's evidence stays far below the threshold, in defective
parts too. Of pictures of another product or under another light it comes near the threshold or above it.
Measured with the sample bundle, as a share of the threshold: 706 solar cells, good and bad, 0.35 and one in
twenty above 0.76, yet never 32 in a row with a median above 0.78; metal 1.56 and 2.12, fabric 2.16. One
frame says little; the median of the last ones does.
"""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np

from agent.messages import Floats

REMEMBERED = 32  # frames
LIMIT = 0.8  # of the threshold
OVER = 0.7  # the warning ends below this, so that it does not flicker


class Taught:
    """The last frames of one source, of each recipe by itself; written by its line, read by the watch."""

    def __init__(self, source: str, *, bundle: str, at_least: int = 16) -> None:
        """`bundle` is its name; no word is said before `at_least` frames."""
        self._source = source
        self._bundle = bundle
        self._at_least = at_least
        self._recipe = ""
        self._shares: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._warnings: dict[str, str] = {}

    def begin(self) -> None:
        """Other recipes judge: what was seen was measured by those before."""
        self._shares.clear()
        self._warnings = {}

    def turn_to(self, recipe: str, *, bundle: str) -> None:
        """This one judges from now on, by its name and that of its bundle."""
        self._recipe, self._bundle = recipe, bundle

    def see(self, evidence: Floats, threshold: float) -> None:
        """A judged frame, whatever its verdict; `evidence` (h, w) and threshold are raw."""
        share = float(np.median(evidence)) / threshold
        if not np.isfinite(share):
            return
        shares, warned = self._shares[self._recipe], self._recipe in self._warnings
        shares.append(share)
        middle = float(np.median(shares))
        if len(shares) < self._at_least or middle <= (OVER if warned else LIMIT):
            self._warnings = {name: one for name, one in self._warnings.items() if name != self._recipe}
            return
        words = (
            f"{self._source}: this is not what the bundle {self._bundle} was taught: most of each of the "
            f"last {len(shares)} pictures looks like a defect to it; check bundle, product and light"
        )
        self._warnings = {**self._warnings, self._recipe: words}  # whole, for whoever reads them meanwhile

    def words(self) -> str | None:
        """The warning, None when all is well."""
        return next(iter(self._warnings.values()), None)
