"""Seconds from a new process to a proven OpenVINO engine, without and with the cache; and its memory.

    python -m tests.benchmarks.bench_engine_start [--runs 5]

Each run is a process of its own, so imports count. `engine` is what opening takes (read or compile, warm up,
golden scores), `process` the whole; the best and the median of the runs are shown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from agent.demo.bench import machine

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"

CHILD = """
import json, resource, sys, time
from pathlib import Path
from agent import settings
from agent.bundle import open_bundle
from agent.engines.open import open_engine
from agent.engines.cache import EngineCache
bundle = open_bundle(Path(sys.argv[1]))
cache = EngineCache(Path(sys.argv[2]), 1 << 30) if len(sys.argv) > 2 else None
started = time.monotonic()
engine = open_engine(bundle, settings.Engine(kind="openvino"), cache=cache)
took = time.monotonic() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"s": took, "from_cache": engine.describe().from_cache, "peak_mb": peak}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    where = machine()
    table = Table(
        *("start", "engine s, best", "median", "process s, best", "median", "peak MB"),
        title=f"{where['cpu']}, {where['cores']} cores",
    )
    with tempfile.TemporaryDirectory() as folder:
        start(folder)  # fills the cache
        for name, cache in (("compiled", None), ("from the cache", folder)):
            found = [start(cache) for _ in range(runs)]
            assert all(one["from_cache"] == (cache is not None) for one in found)
            engine, process = ([one[key] for one in found] for key in ("s", "process_s"))
            table.add_row(
                name,
                *(f"{value:.2f}" for value in (min(engine), median(engine), min(process), median(process))),
                f"{max(one['peak_mb'] for one in found):.0f}",
            )
    Console().print(table)


def start(cache: str | None) -> dict[str, float]:
    words = [sys.executable, "-c", CHILD, str(SAMPLE), *([cache] if cache else [])]
    started = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout), "process_s": time.monotonic() - started}


if __name__ == "__main__":
    main()
