"""Every method and its student on every data set, beside the yardstick: the table in models/README.md.

    python -m tests.benchmarks.bench_methods --out runs/methods --data DIR [--data DIR ...]

Each cell is one command of plumbline-lab (train, distill, export, evaluate) with the edge preset and seed 0;
what is there already is not made again, so a run that was cut goes on with the same command. `--images`
sets the training pictures of teachers and students, for each data set that a model is trained on. Figures
land in OUT/figures.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.judging.evaluate import evaluate, evaluate_yardstick
from models.methods import METHODS
from models.shipping.export import export
from models.student.distill import distill
from models.training.fit import read_cost
from models.training.train import train

COLUMNS = ("image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "aupro_03")
HEAD = (
    "| data | model | I-AUROC | I-AP | I-F1max | P-AUROC | P-AP | P-F1max | AUPRO "
    "| s/picture | minutes | pictures/s | MB |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", action="append", choices=METHODS, help="default: all four")
    parser.add_argument("--images", type=int, nargs=2, default=(None, None), metavar=("TEACHER", "STUDENT"))
    parser.add_argument("--together", action="store_true", help="one model for all data sets, too")
    options = parser.parse_args()
    book = Book(options.out / "figures.json")
    methods = options.method or list(METHODS)
    jobs = [[root] for root in options.data] + ([options.data] if options.together else [])
    for method in methods:
        for roots in jobs:
            teach(book, method, roots, options.out, options.images[0])
    for roots in jobs:
        for method in methods:
            learn(book, [method], roots, options.out, options.images[1])
    for root in options.data:
        book.once(f"{root.name} yardstick", lambda root=root: yardstick(options.out, methods[0], root))
    print(book.table())


class Book:
    """The figures so far, on disk after each cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        if name not in self.rows:
            self.rows[name] = measure()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.rows, indent=1) + "\n")

    def table(self) -> str:
        lines = [HEAD, "|" + "---|" * HEAD.count(" | ") + "---|"]
        for name, row in sorted(self.rows.items()):
            data, model = name.split(" ", 1)
            cells = [f"{row[key]:.3f}" if row[key] is not None else "-" for key in COLUMNS]
            cost = [
                f"{row['seconds_per_image']:.3f}",
                f"{row['minutes']:.1f}",
                f"{row['images_per_second']:.0f}" if "images_per_second" in row else "-",
                f"{row['peak_mb']:.0f}" if "peak_mb" in row else "-",
            ]
            lines.append("| " + " | ".join([data, model, *cells, *cost]) + " |")
        return "\n".join(lines)


def teach(book: Book, method: str, roots: Sequence[Path], out: Path, images: int | None) -> None:
    run = out / named(roots) / method
    train(method, roots, "edge", run, images=images and images * len(roots))
    for root in roots:
        book.once(f"{label(root, roots)} {method}", lambda root=root: measured(run, run, root))


def learn(book: Book, methods: Sequence[str], roots: Sequence[Path], out: Path, images: int | None) -> None:
    name = "+".join(methods)
    folder = out / named(roots)
    run, bundle = folder / f"{name}-student", folder / f"{name}-bundle"
    distill([folder / method for method in methods], roots, run, images=images and images * len(roots))
    if not bundle.exists():
        export(run, roots, bundle, name=named(roots), licence="unspecified", accept_worse=True)
    for root in roots:
        book.once(f"{label(root, roots)} {name} student", lambda root=root: measured(bundle, run, root))


def measured(model: Path, run: Path, root: Path) -> dict[str, Any]:
    """Figures of a teacher, or of a student as it serves, with what its training has cost."""
    cost = read_cost(run)
    return {
        **asdict(evaluate(model, root)[0]),
        "minutes": cost.seconds / 60,
        "images_per_second": cost.images / cost.seconds,
        "peak_mb": cost.peak_memory_bytes / 2**20,
    }


def yardstick(out: Path, method: str, root: Path) -> dict[str, Any]:
    figures, _, built = evaluate_yardstick(out / root.name / method, root)
    return {**asdict(figures), "minutes": built.seconds / 60}


def named(roots: Sequence[Path]) -> str:
    return "-".join(root.name for root in roots)


def label(root: Path, roots: Sequence[Path]) -> str:
    return root.name if len(roots) == 1 else f"{root.name}(of_{len(roots)})"


if __name__ == "__main__":
    main()
