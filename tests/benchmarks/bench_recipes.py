"""What a switch of recipes to a bundle that is open takes, and what frames cost that are judged by product.

    python -m tests.benchmarks.bench_recipes [--switches 200] [--rounds 6]

Recipes of the sample bundle and of one like it, each with an engine of its own; frames of one tile through
the real line and outbox. A switch is the call of `Recipes.switch`, with its file on the disk, until the next
frame has been judged by the other recipe; a frame is the same without a switch, measured by turns.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from agent.clock import SystemClock
from agent.demo.bench import machine
from agent.engines.choice import look_around
from agent.line.opened import OpenedBundles
from agent.line.recipes import Recipes, open_recipes
from agent.messages import Pixels
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.settings import settings
from agent.settings.camera import Camera
from agent.settings.recipes import OfCamera, Recipe, Region
from tests.benchmarks.bench_swap import SAMPLE, Station, another

WARM_UP = 20


def main() -> None:
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console, where = Console(), machine()
    table = Table("what", "p50 ms", "p99 ms", title=f"{where['cpu']}, {where['cores']} cores")
    with tempfile.TemporaryDirectory(prefix="bench-recipes-", dir=Path.cwd()) as name:
        folder = Path(name)
        corner = Region(corners=((0.0, 0.0), (60.0, 0.0), (60.0, 60.0), (0.0, 60.0)))
        regions = OfCamera(camera="top", ignore=(corner,))
        wanted = settings.Settings(
            bundle=SAMPLE,
            cameras=(Camera(name="top"),),
            recipes=(
                Recipe(name="one", parts=("A-\\d{6}",)),
                Recipe(name="other", parts=("B-\\d{6}",), bundle=another(folder)),
                Recipe(name="ignoring", parts=("C-\\d{6}",), cameras=(regions,)),
            ),
            outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        )
        bundles = OpenedBundles(
            trust=wanted.trust,
            engine=wanted.engine,
            cache=wanted.engine_cache(),
            machine=look_around(),
            named=lambda: recipes.needed(),
        )
        recipes = Recipes(
            wanted,
            bundles,
            bundles.open(wanted.bundle),
            of_recipes=open_recipes(wanted, bundles),
            path=folder / "switched",
        )
        outbox = Outbox(Database(wanted.outbox.path, clock=SystemClock()))
        outbox.open()
        try:
            station = Station(outbox, recipes.in_force)
            recipes.serve({"top": station.line})
            for name, figures in _measured(station, recipes, arguments).items():
                table.add_row(name, *(f"{np.percentile(figures, share):.2f}" for share in (50, 99)))
        finally:
            outbox.close()
            bundles.close()
    console.print(table)


def _measured(
    station: Station, recipes: Recipes, arguments: argparse.Namespace
) -> dict[str, Sequence[float]]:
    spec = recipes.in_force.input
    side = round(spec.tile_px / spec.scale)
    image = np.random.default_rng(0).integers(0, 256, (side, side, spec.channels), np.uint8)
    names = itertools.cycle(("one", "other"))
    found: dict[str, list[float]] = {
        "a frame, no switch": [],
        "a switch, until its frame is judged": [],
        "of which the call": [],
        "a frame of A": [],
        "A and B by turns": [],
        "a frame with a region to ignore": [],
    }
    for _ in range(WARM_UP):
        for part_id in ("A-000001", "B-000001", "C-000001"):
            _frame(station, image, part_id)
    for _ in range(arguments.rounds):
        recipes.switch(next(names))
        _frame(station, image, None)
        for _ in range(arguments.switches // arguments.rounds):
            found["a frame, no switch"].append(_frame(station, image, None))
            started, name = time.perf_counter(), next(names)
            recipes.switch(name)
            found["of which the call"].append((time.perf_counter() - started) * 1e3)
            _frame(station, image, None)
            found["a switch, until its frame is judged"].append((time.perf_counter() - started) * 1e3)
            assert station.line.recipe.name == name
        for number in range(arguments.switches // arguments.rounds):
            found["a frame of A"].append(_frame(station, image, f"A-{number:06}"))
        for number in range(arguments.switches // arguments.rounds):
            found["A and B by turns"].append(_frame(station, image, f"{'AB'[number % 2]}-{number:06}"))
        for number in range(arguments.switches // arguments.rounds):
            found["a frame with a region to ignore"].append(_frame(station, image, f"C-{number:06}"))
    added = statistics.median(found["of which the call"]) / statistics.median(found["a frame, no switch"])
    print(f"the call of a switch over a frame: {added:.3f}")
    return {**found}


def _frame(station: Station, image: Pixels, part_id: str | None) -> float:
    """Milliseconds until it is judged."""
    started = time.perf_counter()
    station.judge(image, part_id=part_id)
    return (time.perf_counter() - started) * 1e3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--switches", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=6)
    return parser.parse_args()


if __name__ == "__main__":
    main()
