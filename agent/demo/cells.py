"""The public solar-cell set (PyPI `elpv-dataset`): which cells are good, and which are held back.

2624 electroluminescence pictures of solar cells, 300 x 300 mono, each with a defect probability by
experts. Cells stand in the order of the modules they were cut from, so runs of 60 neighbours stay on
one side of the split: every third run is held back for the test, good and defective cells alike. Defective
cells of the other runs are for development; cells that the experts were not sure of (probability 1/3 or
2/3) are set aside. `for_development` splits those other runs once more, so that choices need no test cell.
Images: CC BY-NC-SA 4.0, see the package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from agent.errors import PlumblineError

RUN_OF_CELLS = 60
DEVELOPMENT_SHARE = 4  # of the runs that train one in so many is judged in development

Split: TypeAlias = Literal["train/good", "test/good", "test/defective", "development", "uncertain"]


class SampleError(PlumblineError):
    """The sample set is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    image: Path
    probability: float  # of being defective, by the experts
    kind: str  # mono or poly
    split: Split
    run: int  # of neighbours, from 0


def load_cells() -> tuple[Cell, ...]:
    """All cells in module order. Raises SampleError when the package is absent."""
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise SampleError("elpv-dataset is not installed; `pip install 'plumbline[demo]'` brings it")
    data = Path(package.origin).parent / "data"
    cells = []
    for row, line in enumerate((data / "labels.csv").read_text().splitlines()):
        name, probability, kind = line.split()
        run = row // RUN_OF_CELLS
        cells.append(
            Cell(
                image=data / name,
                probability=float(probability),
                kind=kind,
                split=_split(run, float(probability)),
                run=run,
            )
        )
    return tuple(cells)


def for_development(cells: Sequence[Cell], fold: int = DEVELOPMENT_SHARE - 1) -> tuple[Cell, ...]:
    """The runs that train as a split of their own: whole runs of fold 0 to 3 are judged, the others train.

    No cell that is held back for the test is among them.
    """
    training = sorted({cell.run for cell in cells if cell.split == "train/good"})
    judged = set(training[fold::DEVELOPMENT_SHARE])
    places: dict[tuple[Split, bool], Split] = {
        ("train/good", False): "train/good",
        ("train/good", True): "test/good",
        ("development", True): "test/defective",
    }
    found = ((cell, places.get((cell.split, cell.run in judged))) for cell in cells)
    return tuple(replace(cell, split=split) for cell, split in found if split)


def _split(run: int, probability: float) -> Split:
    held_back = run % 3 == 2
    if probability == 1.0:
        return "test/defective" if held_back else "development"
    if probability == 0.0:
        return "test/good" if held_back else "train/good"
    return "uncertain"
