"""What a tile costs in one bundle and in another, by turns on the engine that serves them here.

    python -m tests.benchmarks.bench_bundles OLD NEW [--rounds 15] [--precision f32]

The ratio is the median over rounds in which both ran one after the other; ms are of the quickest round.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from agent.bundle.bundle import open_bundle
from agent.demo.bench import machine
from agent.engines.engine import BATCHES
from agent.engines.open import open_engine
from agent.settings import settings
from models.judging.evaluate import by_engine
from tests.benchmarks.turns import take_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundles", type=Path, nargs=2, metavar="OLD NEW")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    old, new = (open_bundle(path) for path in options.bundles)
    opened = {
        name: open_engine(bundle, settings.Engine(precision=options.precision))
        for name, bundle in (("old", old), ("new", new))
    }
    engines = {name: by_engine(engine) for name, engine in opened.items()}
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, {options.rounds} rounds, {opened['new'].describe().name}")
    print("| batch | old, ms a tile | new, ms a tile | new costs |", "|---|---|---|---|", sep="\n")
    for batch in sorted(BATCHES):
        tiles = np.ascontiguousarray(old.golden()[0][:batch])
        turns = take_turns(
            {name: lambda run=run, tiles=tiles: run(tiles) for name, run in engines.items()},
            options.rounds,
        )
        each = {name: 1000 * turns.best_s(name) / batch for name in engines}
        ratio = 1 / turns.times_faster("new", "old")
        print(f"| {batch} | {each['old']:.1f} | {each['new']:.1f} | {ratio:.2f} times |", flush=True)


if __name__ == "__main__":
    main()
