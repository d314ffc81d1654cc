"""What tiles per second mean for a line camera: pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLoad:
    """What a line camera asks of an engine."""

    tiles_across: int
    tiles_per_s: float
    upload_mb_per_s: float  # of uint8 tiles, overlap included


def line_load(
    *, width_px: int, line_rate_hz: float, tile_px: int, overlap_px: int, scale: float, channels: int
) -> LineLoad:
    """Tiles per second of a web that is `width_px` wide; `scale` is tile pixels per camera pixel."""
    step = tile_px - overlap_px
    width = max(1, round(width_px * scale))
    across = 1 if width <= tile_px else math.ceil((width - overlap_px) / step)
    per_s = across * line_rate_hz * scale / step
    return LineLoad(
        tiles_across=across,
        tiles_per_s=per_s,
        upload_mb_per_s=per_s * tile_px * tile_px * channels / 1e6,
    )


def engines_needed(load: LineLoad, measured_tiles_per_s: float) -> int:
    """How many such devices keep up."""
    return math.ceil(load.tiles_per_s / measured_tiles_per_s)
