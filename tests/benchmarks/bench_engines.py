"""The shipped graph on every engine of this machine, by turns: see README.md.

    python -m tests.benchmarks.bench_engines [--rounds 15]

Ratios are medians over rounds in which all engines ran one after the other; tiles/s is of the quickest round.
The INT8 graph takes its scales from the golden tiles: its speed does not depend on them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agent.bundle.bundle import open_bundle
from agent.demo.bench import machine
from agent.engines.engine import BATCHES
from agent.engines.open import open_engine
from agent.settings import settings
from models.judging.evaluate import Inspector, by_engine
from models.shipping.variants import by_openvino, by_session, typed_graph
from tests.benchmarks.turns import take_turns

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
BASE = "eager torch f32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    bundle = open_bundle(SAMPLE)
    golden = bundle.golden()[0]
    int8 = typed_graph(bundle.model, "int8", golden[:2])
    engines: dict[str, Inspector] = {
        BASE: by_engine(open_engine(bundle, settings.Engine(kind="eager"))),
        "ONNX Runtime f32": by_session(bundle.model),
        "OpenVINO f32": by_engine(open_engine(bundle, settings.Engine(precision="f32"))),
        "OpenVINO bf16": by_engine(open_engine(bundle, settings.Engine(precision="bf16"))),
        "ONNX Runtime int8": by_session(int8),
        "OpenVINO int8, rest f32": by_openvino(int8, "f32")[0],
        "OpenVINO int8, rest bf16": by_openvino(int8, "bf16")[0],
    }
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, {rounds} rounds")
    print(
        "| engine | batch | ms, best | ms, median | tiles/s | times eager |",
        "|---|---|---|---|---|---|",
        sep="\n",
    )
    for batch in sorted(BATCHES):
        tiles = np.ascontiguousarray(golden[:batch])
        calls: dict[str, Callable[[], object]] = {
            name: lambda run=run, tiles=tiles: run(tiles) for name, run in engines.items()
        }
        turns = take_turns(calls, rounds)
        for name in engines:
            best, median = turns.best_s(name), turns.median_s(name)
            print(
                f"| {name} | {batch} | {1000 * best:.1f} | {1000 * median:.1f} | {batch / best:.0f} "
                f"| {turns.times_faster(name, BASE):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
