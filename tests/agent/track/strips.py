"""Real strips of woven fabric, AITEX, and what their columns have in common."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from agent.cameras.images import read_image
from agent.messages import Samples
from agent.track.calibration import averages
from agent.track.flatfield import flat_field

AITEX = Path(__file__).parents[4] / "shared" / "data" / "aitex_fabric"  # beside the checkout


def fixed_pattern(fabric: str) -> tuple[float, float]:
    """Spread of the column means of the good test strips, as a share of their mean: raw and corrected.

    Calibrated on the good training strips of the same fabric.
    """
    with (AITEX / "manifest.csv").open() as manifest:
        good = [row for row in csv.DictReader(manifest) if row["group"] == fabric and row["label"] == "0"]
    strips: dict[str, list[Samples]] = {
        split: [read_image(AITEX / row["image"])[:, :, :1] for row in good if row["split"] == split]
        for split in ("train", "test")
    }
    white = averages(strips["train"], 8).means()
    field = flat_field(None, white, max_gain=16.0)
    on_fabric = white[:, 0] > 0.5 * np.median(white)  # the left edge shows no fabric
    spreads = []
    for images in (strips["test"], [field.correct(strip) for strip in strips["test"]]):
        columns = averages(images, 8).means()[on_fabric, 0]
        spreads.append(float(columns.std() / columns.mean()))
    return spreads[0], spreads[1]
