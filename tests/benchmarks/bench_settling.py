"""Whether it makes a difference who teaches the student, and whether a teacher does: the settling experiment.

    python -m tests.benchmarks.bench_settling --out runs/settling --data DIR [--data DIR ...]

For each data set and seed one teacher is trained, and students that differ in who taught them alone:

    none        nobody: the truth of synthetic defects and of DeCo-Diff's corruption teaches alone
    longer      nobody, for as many minutes as teacher and its student took together
    untrained   a teacher of one training step
    real        the teacher
    oracle      the truth: lessons that restore perfectly and find exactly the defect
    anew        the teacher, asked about new pictures at each step
    spoilt      nobody, and without that corruption, which is a fifth of the restorer's pictures

All but `longer` see equally many pictures. The student of the real teacher is judged by its restoration and
by its finder alone, too. What is there already is not made again, so a run that was cut goes on with the
same command; figures and scores of each cell land in OUT/figures.json. Test pictures are read at the end of
each cell and decide nothing. `--images` sets the training pictures of teachers and students.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch.nn.functional as F

from models.judging.ablate import by_kind
from models.judging.evaluate import Figures, Judged, checked_split, figures
from models.judging.paired import Paired, paired
from models.methods import METHODS
from models.student.distill import distill, load_student
from models.student.lessons import LESSONS, Lessons, keep, kept
from models.training.fit import read_cost
from models.training.train import train
from tests.benchmarks.bench_methods import Book

ALONE = {"restoration alone": "pixel, latent and feature map", "finder alone": "finder"}
WHOLE = "all, as it ships"
COLUMNS = ("image_auroc", "pixel_ap", "aupro_03", "remaining_contrast")
HEAD = "| data | student of | I-AUROC | P-AP | AUPRO | contrast left | minutes | beside none |"
Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How a student is taught."""

    teacher: Literal["real", "untrained"] | None = None
    knows: bool = False  # its lessons are the truth
    anew: bool = False
    constructed: bool = True
    longer: bool = False


ARMS = {  # each after those that it is held against
    "none": Arm(),
    "real": Arm(teacher="real"),
    "longer": Arm(longer=True),
    "untrained": Arm(teacher="untrained"),
    "oracle": Arm(teacher="real", knows=True),
    "anew": Arm(teacher="real", anew=True),
    "spoilt": Arm(constructed=False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, default="decodiff")
    parser.add_argument("--preset", choices=("nano", "edge"), default="edge")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, nargs=2, default=(4800, 4800), metavar=("TEACHER", "STUDENT"))
    options = parser.parse_args()
    book = Book(options.out / "figures.json")
    for seed in range(options.seeds):  # a table of one seed comes first
        for root in options.data:
            settle(book, root, seed, options)
            print(table(book.rows), flush=True)


def settle(book: Book, root: Path, seed: int, options: argparse.Namespace) -> None:
    """Every cell of one data set and seed."""
    folder = options.out / root.name / str(seed)
    teacher_images, images = options.images
    for name, count in (("real", teacher_images), ("untrained", 1)):
        train(options.method, [root], options.preset, folder / f"{name}-teacher", seed=seed, images=count)
    for name, arm in ARMS.items():
        if f"{root.name} {name} {seed}" in book.rows:
            continue
        run = folder / name
        if arm.knows and not (run / LESSONS).is_file():
            run.mkdir(parents=True, exist_ok=True)
            given = kept(folder / "real" / LESSONS)
            assert given is not None
            keep(of_truth(given), run / LESSONS)
        distill(
            [] if arm.teacher is None else [folder / f"{arm.teacher}-teacher"],
            [root],
            run,
            seed=seed,
            images=longer(folder, images) if arm.longer else images,
            untaught=options.preset,
            anew=arm.anew,
            constructed=arm.constructed,
        )
        minutes = read_cost(run).seconds / 60
        if arm.teacher is not None:
            minutes += read_cost(folder / f"{arm.teacher}-teacher").seconds / 60
        for kind, row in judged(run, root, name).items():
            book.once(f"{root.name} {kind} {seed}", lambda row=row, spent=minutes: row | {"minutes": spent})


def longer(folder: Path, images: int) -> int:
    """So many pictures of a student without a teacher take as long as the real teacher and its student.

    Both students must have ended.
    """
    spent = read_cost(folder / "real-teacher").seconds + read_cost(folder / "real").seconds
    return round(images * spent / read_cost(folder / "none").seconds)


def of_truth(lessons: Lessons) -> Lessons:
    """The same pictures as one who knows would answer: as they were, and found where they were spoilt."""
    stride = lessons.batch.mask.shape[-1] // lessons.maps.shape[-1]
    return dataclasses.replace(
        lessons, restored=lessons.batch.clean, maps=F.max_pool2d(lessons.batch.mask, stride)
    )


def judged(run: Path, root: Path, arm: str) -> dict[str, dict[str, Any]]:
    """The student as it ships, named as its arm; before it the real one by some of its evidence alone."""
    known, student = load_student(run)
    found = by_kind(student, checked_split(root), known.input)
    kinds = {**(ALONE if arm == "real" else {}), arm: WHOLE}
    return {name: with_scores(figures(found[kind], None), found[kind]) for name, kind in kinds.items()}


def with_scores(found: Figures, judged: Sequence[Judged]) -> dict[str, Any]:
    """A row of the book: figures, and of each picture its score and whether it is defective."""
    return {
        **found.as_dict(),
        "scores": [one.score for one in judged],
        "defective": [not one.item.is_good for one in judged],
    }


def table(rows: Rows) -> str:
    """A line for each data set and arm: means over seeds, and the paired difference from `none`."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    names: dict[str, list[str]] = {}
    for name in rows:
        names.setdefault(name.rsplit(" ", 1)[0], []).append(name)
    for name, seeds in sorted(names.items()):
        data, arm = name.split(" ", 1)
        some = [rows[one] for one in seeds]
        cells = [mean_of([row[column] for row in some]) for column in COLUMNS]
        cells[0] += spread_of([row["image_auroc"] for row in some])
        others = [rows[one] for seed in seeds if (one := f"{data} none {seed.rsplit(' ', 1)[1]}") in rows]
        beside = ""
        if arm != "none" and len(others) == len(some):
            found = difference(some, others)
            beside = f"{found.one - found.other:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        minutes = statistics.fmean(row["minutes"] for row in some)
        lines.append("| " + " | ".join([data, arm, *cells, f"{minutes:.1f}", beside]) + " |")
    return "\n".join(lines)


def difference(some: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> Paired:
    """Of two arms over equal seeds on the same test pictures."""
    labels = np.array(some[0]["defective"], np.bool_)
    one, other = (np.array([row["scores"] for row in rows], np.float32) for rows in (some, others))
    return paired(labels, one, other)


def mean_of(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.fmean(known):.3f}" if known else "-"


def spread_of(values: Sequence[float]) -> str:
    """From the lowest seed to the highest."""
    return f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""


if __name__ == "__main__":
    main()
