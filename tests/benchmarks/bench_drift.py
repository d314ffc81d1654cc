"""What the drift monitor costs a frame, and how often it is wrong on good parts.

`python -m tests.benchmarks.bench_drift [DATA]`: `measure` by itself for frames of several sizes, and beside
reading, preparing, inferring and judging a solar cell, by turns in one run. Then good parts in their order:
solar cells by module (`elpv-dataset`), of one make and of both, and kolektor_sdd and magnetic_tile below
DATA. Only changes of pictures can be told there: no model has scores of all of them.
"""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from agent.cameras.images import read_image
from agent.demo.cells import load_cells
from agent.drift.series import Series, Taken
from agent.drift.statistics import measure
from agent.messages import Inspection, Pixels
from tests.agent.drift.cells import Judge
from tests.benchmarks.bench_web import processor

GOOD = 160  # as many as leave a half of the smaller sets to watch
SIZES = ((300, 300, 1), (1024, 4096, 1), (2000, 3000, 3))
TURNS = 200
NOTHING = Inspection(
    scores=np.zeros(1, np.float32),
    evidence=np.full((75, 75), 0.1, np.float32),
    restored=None,
    started_ns=0,
    finished_ns=0,
)


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print(processor())
    for shape in SIZES:
        print(f"measure {shape}: {_measure_ms(shape):.2f} ms")
    print(_share_of_step())
    print(f"\ngood parts in their order, {GOOD} learned from")
    for name, paths in _sets(data):
        taken = list(map(_taken, paths))
        print(f"{name}: {len(taken) - GOOD} watched, {_words(_episodes(taken))}")
        shuffled = [taken[number] for number in np.random.default_rng(0).permutation(len(taken))]
        print(f"  in no order: {_words(_episodes(shuffled))}")


def _measure_ms(shape: tuple[int, int, int]) -> float:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    times = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        measure(picture, NOTHING, score=1.0)
        times.append(time.perf_counter() - begun)
    return 1e3 * float(np.median(times))


def _share_of_step() -> str:
    """Prepare, infer and judge of one cell, and what is measured of it, by turns."""
    judge = Judge.open()
    paths = [cell.image for cell in load_cells()][:60]
    steps, costs = [], []
    for path in paths:
        begun = time.perf_counter()
        taken = judge.taken(path)
        steps.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        measure(taken.picture, NOTHING, score=1.0)
        costs.append(time.perf_counter() - begun)
    step, cost = 1e3 * float(np.median(steps)), 1e3 * float(np.median(costs))
    return f"one cell: step {step:.1f} ms with reading, measure {cost:.2f} ms, {cost / step:.1%}"


def _sets(data: Path | None) -> Iterator[tuple[str, Sequence[Path]]]:
    good = [cell for cell in load_cells() if cell.split in ("train/good", "test/good")]
    for kind in ("mono", "poly"):
        yield f"elpv {kind}, by module", [cell.image for cell in good if cell.kind == kind]
    yield "elpv, by module", [cell.image for cell in good]
    for name in ("kolektor_sdd", "magnetic_tile"):
        if data is None or not (folder := data / name).joinpath("manifest.csv").exists():
            continue
        with (folder / "manifest.csv").open(encoding="utf-8") as file:
            files = [row["image"] for row in csv.DictReader(file) if row["label"] == "0"]
        yield f"{name}, by name", [folder / one for one in sorted(files, key=_numbers)]
        if name == "magnetic_tile":
            by_tile = sorted(files, key=lambda one: (_numbers(one)[1:], _numbers(one)[0]))
            yield f"{name}, exposures mixed", [folder / one for one in by_tile]


def _numbers(file: str) -> list[int]:
    return [int(one) for one in re.findall(r"\d+", Path(file).name)]


def _taken(path: Path) -> Taken:
    picture = np.asarray(read_image(path), np.uint8)
    picture = picture[..., None] if picture.ndim == 2 else picture
    return Taken(result_id=path.stem, row=_row(picture), passed=True, picture=picture)


def _row(picture: Pixels) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    row = measure(picture, NOTHING, score=1.0)
    row[-2:] = np.nan  # no model judged it
    return row


def _episodes(shown: Iterable[Taken]) -> list[tuple[int, str]]:
    """After how many frames which change was told."""
    series = Series(camera="top", recipe="default", footing="0" * 64, good=GOOD)
    told = []
    for number, taken in enumerate(shown):
        series.take(taken)
        series.learn("")
        looked = series.look()
        if looked is not None and looked[0].kind is None and looked[1].kind is not None:
            told.append((number - GOOD, str(looked[1].kind)))
    return told


def _words(episodes: list[tuple[int, str]]) -> str:
    return f"{len(episodes)} episodes" + "".join(f"; {kind} after {number}" for number, kind in episodes)


if __name__ == "__main__":
    main()
