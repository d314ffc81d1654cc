"""Pictures of more than eight bits as eight, in exact shares of full scale."""

from __future__ import annotations

from functools import cache
from typing import cast

import numpy as np

from agent.messages import Pixels, Samples


def eight_bits(image: Samples, bit_depth: int) -> Pixels:
    """Grey values as shares of 255: round(value * 255 / (2 ** bit_depth - 1)), exactly; 8 bits stay."""
    if bit_depth == 8:
        return cast(Pixels, image)
    return _table(bit_depth)[image]


@cache
def _table(bit_depth: int) -> Pixels:
    """Every value of a uint16; those above full scale are white. Full scale is odd, so there are no ties."""
    full = (1 << bit_depth) - 1
    values = np.minimum(np.arange(1 << 16, dtype=np.int64), full)
    return ((values * 510 + full) // (2 * full)).astype(np.uint8)
