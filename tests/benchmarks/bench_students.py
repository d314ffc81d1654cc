"""Students of several seeds as they serve, beside the yardstick: the figures that a bundle has to reach.

    python -m tests.benchmarks.bench_students --out runs/students --data DIR [--data DIR ...]

For each data set and seed a student without a teacher is distilled and exported, and its bundle judges the
test split by its own threshold; the yardstick is fitted once for each data set. What is there already is not
made again, so a run that was cut goes on with the same command; figures and scores land in OUT/figures.json.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.teach.threshold import wilson
from models.judging.evaluate import evaluate, evaluate_yardstick
from models.shipping.export import export
from models.student.distill import distill
from tests.benchmarks.bench_methods import Book
from tests.benchmarks.bench_settling import difference, mean_of, spread_of, with_scores

COLUMNS = ("pixel_ap", "aupro_03", "remaining_contrast")
HEAD = (
    "| data | seeds | I-AUROC | beside the yardstick "
    "| P-AP | AUPRO | contrast left | false rejects | caught |"
)
YARDSTICK = "yardstick"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=4800)
    options = parser.parse_args()
    book = Book(options.out / "figures.json")
    for seed in range(options.seeds):  # a table of one seed comes first
        for root in options.data:
            learn(book, root, seed, options.out / root.name, options.images)
            print(table(book.rows), flush=True)


def learn(book: Book, root: Path, seed: int, folder: Path, images: int) -> None:
    """One student of one data set, and the yardstick where it is not there yet."""
    run, bundle = folder / f"student-{seed}", folder / f"bundle-{seed}"
    if not bundle.exists():
        distill([], [root], run, seed=seed, images=images)
        export(run, [root], bundle, name=root.name, licence="unspecified", accept_worse=True)
    book.once(f"{root.name} {seed}", lambda: with_scores(*evaluate(bundle, root)))
    book.once(f"{root.name} {YARDSTICK}", lambda: with_scores(*evaluate_yardstick(run, root)[:2]))


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Two lines for each data set: its students, means over seeds, and its yardstick."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    for data in sorted({name.rsplit(" ", 1)[0] for name in rows}):
        plain = rows.get(f"{data} {YARDSTICK}")
        some = [row for name, row in sorted(rows.items()) if name.rsplit(" ", 1)[0] == data]
        some = [row for row in some if row is not plain]
        if plain is None or not some:
            continue
        found = difference(some, [plain] * len(some))
        aurocs = [row["image_auroc"] for row in some]
        cells = [
            mean_of(aurocs) + spread_of(aurocs),
            f"{found.one - found.other:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
            *(mean_of([row[column] for row in some]) for column in COLUMNS),
            false_rejects(some),
            f"{statistics.fmean(row['recall_at_threshold'] for row in some):.1%}",
        ]
        lines.append("| " + " | ".join([data, str(len(some)), *cells]) + " |")
        beside = [f"{plain['image_auroc']:.3f}", "", *(mean_of([plain[one]]) for one in COLUMNS[:2])]
        lines.append("| " + " | ".join([data, YARDSTICK, *beside, "", "", ""]) + " |")
    return "\n".join(lines)


def false_rejects(some: Sequence[Mapping[str, Any]]) -> str:
    """The rate over all seeds, the interval of one seed with it, and what was promised."""
    rate = statistics.fmean(row["false_reject_rate"] for row in some)
    good = sum(not one for one in some[0]["defective"])
    low, high = wilson(rate, good)
    promised = statistics.fmean(row["promised_false_reject_rate"] for row in some)
    return f"{rate:.1%} ({low:.1%} to {high:.1%}), promised {promised:.1%}"


if __name__ == "__main__":
    main()
