"""How many frames of an archive are judged again in a second, by workers.

`python -m tests.benchmarks.bench_rescore [FRAMES] [ROUNDS]`: solar cells in the archives of two stations, the
sample bundle. The ways go by turns. Pace leaves out what opening takes: it is counted from when each worker
has ended one part. With Ray, a cluster of this machine is begun for it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np

from agent.bundle.bundle import open_bundle
from agent.cameras.images import read_image
from agent.demo.cells import load_cells
from agent.demo.demo import SAMPLE_BUNDLE
from models.rescoring.archives import survey
from models.rescoring.plan import Plan, made, read
from models.rescoring.workers import Done, by_processes, in_turn
from tests.agent.archive.records import frame, verdict
from tests.benchmarks.bench_web import processor
from tests.models.rescoring.plant import Plant

FRAMES, ROUNDS = 640, 3
Way = Callable[[], Iterator[Done]]


def main() -> None:
    frames, rounds = (
        int(one) for one in (sys.argv[1:] + [str(FRAMES), str(ROUNDS)][len(sys.argv) - 1 :])[:2]
    )
    print(processor(), f"{len(os.sched_getaffinity(0))} cores, {frames} frames")
    with tempfile.TemporaryDirectory(prefix="plumbline-rescore-") as folder:
        root = Path(folder) / "plant"
        _fill(Plant(folder=root), frames)
        bundle = open_bundle(Path(SAMPLE_BUNDLE))
        plan = read(made(survey([root]), bundle="elpv", bundle_sha256=bundle.sha256, named=()))
        ways: dict[str, tuple[int, Way]] = {
            "1, this process": (1, lambda: in_turn(plan.parts(), plan.folders, bundle)),
            "2 processes": (2, lambda: by_processes(plan.parts(), plan.folders, bundle, workers=2)),
        }
        if find_spec("ray") is not None:
            from models.rescoring.on_ray import by_ray

            for workers in (1, 2):
                ways[f"{workers} on Ray Data"] = (
                    workers,
                    lambda workers=workers: by_ray(  # type: ignore[misc]
                        plan.parts(), plan.folders, bundle, workers=workers, address="local"
                    ),
                )
        _tell(ways, plan, rounds)


def _tell(ways: dict[str, tuple[int, Way]], plan: Plan, rounds: int) -> None:
    paces: dict[str, list[float]] = {name: [] for name in ways}
    wholes: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (workers, way) in ways.items():
            pace, whole = _measured(way, workers)
            paces[name].append(pace)
            wholes[name].append(whole)
    first = next(iter(ways))
    print(f"{len(list(plan.parts()))} parts, median of {rounds} rounds")
    print("| workers | frames/s | times one (worst round) | whole run, s |\n|---|---:|---:|---:|")
    for name in ways:
        ratios = [pace / one for pace, one in zip(paces[name], paces[first], strict=True)]
        times = f"{median(ratios):.2f} ({min(ratios):.2f})"
        print(f"| {name} | {median(paces[name]):.1f} | {times} | {median(wholes[name]):.1f} |")


def _measured(way: Way, workers: int) -> tuple[float, float]:
    """Frames a second once each worker has ended a part, and seconds of the whole run."""
    begun, ended, counts = time.perf_counter(), [], []
    for _, rows in way():
        ended.append(time.perf_counter())
        counts.append(len(rows))
        assert all(row.status == "judged" for row in rows)
    return sum(counts[workers:]) / (ended[-1] - ended[workers - 1]), time.perf_counter() - begun


def _fill(plant: Plant, frames: int) -> None:
    cells = [cell for cell in load_cells() if cell.split.startswith("test")]
    for number in range(frames):
        picture = np.asarray(read_image(cells[number % len(cells)].image), np.uint8).reshape(300, 300, 1)
        said = verdict(number + 1, of=frame(picture))
        plant.put(("press-1", "press-2")[number % 2], said, picture, None, None)


if __name__ == "__main__":
    main()
