"""Seconds that each teacher's full inference takes for one tile, and how many times faster the student is.

    python -m tests.benchmarks.bench_inference

Edge preset, untrained nets (speed does not depend on the weights), tiles of 256 px, one at a time, in the
arithmetic of training; the student is the sample bundle on the engine that serves here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from agent.bundle.bundle import open_bundle
from agent.demo.bench import machine
from agent.engines.open import open_engine
from agent.messages import Pixels
from agent.settings import settings
from models.data.batches import to_images
from models.judging.evaluate import by_engine, by_teacher
from models.methods import METHODS

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
TILES = 12


def main() -> None:
    bundle = open_bundle(SAMPLE)
    tiles = np.concatenate([bundle.golden()[0]] * 2)[:TILES]
    engine = open_engine(bundle, settings.Engine())
    student = seconds(by_engine(engine), tiles)
    where = machine()
    table = Table(
        "teacher", "s/tile", "student s/tile", "times", title=f"{where['cpu']}, {where['cores']} cores"
    )
    for name, method in METHODS.items():
        torch.manual_seed(0)
        config = method.adapted(method.PRESETS["edge"], channels=1, products=1, weights=None)
        model = method.build(config).to(memory_format=torch.channels_last)
        model.fit_statistics(to_images(tiles))
        model.eval().requires_grad_(False)
        teacher = seconds(by_teacher(model, 0), tiles)
        table.add_row(name, f"{teacher:.3f}", f"{student:.4f}", f"{teacher / student:.0f}")
    Console().print(table)


def seconds(inspect: Callable[[Pixels], object], tiles: Pixels) -> float:
    """The median over tiles, after one that warms up."""
    inspect(tiles[:1])
    found = []
    for index in range(len(tiles)):
        started = time.perf_counter()
        inspect(tiles[index : index + 1])
        found.append(time.perf_counter() - started)
    return float(np.median(found))


if __name__ == "__main__":
    main()
