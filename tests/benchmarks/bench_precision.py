"""What each arithmetic costs in accuracy, on the same pictures: the table in models/README.md.

    python -m tests.benchmarks.bench_precision --bundle models/bundles/elpv --data sample-data/elpv

Per precision: figures on the test split, how far its own threshold lies from float32's, the largest
difference of any map pixel from float32's (as a share of the threshold), and how many pictures change their
verdict under float32's threshold and under their own. INT8 takes its scales from training parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent.bundle.bundle import Bundle, Precision, open_bundle
from models.data.datasets import Item
from models.data.held import good_items
from models.data.threshold import calibrate
from models.judging import metrics
from models.judging.evaluate import Inspector, Judged, checked_split, judge_item
from models.judging.nearby import nearby_scores
from models.shipping.variants import (
    PRECISIONS,
    by_openvino,
    by_openvino_bf16,
    by_session,
    scale_tiles,
    typed_graph,
)

HEAD = (
    "| bundle | precision, runtime | I-AUROC | AUPRO@0.3 | threshold | shift | largest map difference "
    "| verdicts changed, f32's threshold | own threshold | golden verdicts changed | MB |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, action="append", required=True)
    parser.add_argument("--data", type=Path, action="append", required=True, help="of each bundle, in order")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="default: all")
    options = parser.parse_args()
    print(HEAD, "|" + "---|" * HEAD.count(" | ") + "---|", sep="\n", flush=True)
    for bundle, data in zip(options.bundle, options.data, strict=True):
        compare(open_bundle(bundle), data, options.precision or PRECISIONS)


def compare(bundle: Bundle, data: Path, precisions: Sequence[Precision]) -> None:
    good, held = good_items([data])
    items = checked_split(data)
    plain = Row(bundle, by_openvino(bundle.model, "f32")[0], items, held)
    plain.show("f32, OpenVINO", plain, len(bundle.model))
    for precision in precisions:
        scales = scale_tiles(good, bundle) if precision == "int8" else bundle.golden()[0][:0]
        graph = typed_graph(bundle.model, precision, scales)
        runs = {"OpenVINO, as served": by_openvino_bf16(bundle.model)} if precision == "bf16" else {}
        typed = by_openvino(graph, "f32")[0] if precision == "bf16" else by_session(graph)
        runs["graph as typed"] = typed
        for name, inspector in runs.items():
            row = Row(bundle, inspector, items, held)
            row.show(f"{precision}, {name}", plain, len(graph))


class Row:
    """One arithmetic's judgement of everything."""

    def __init__(
        self, bundle: Bundle, inspector: Inspector, items: Sequence[Item], held: Sequence[Item]
    ) -> None:
        spec, target = bundle.manifest.input, bundle.manifest.threshold.target_false_reject_rate
        self.name = bundle.manifest.name
        self.judged: list[Judged] = [judge_item(item, inspector, spec) for item in items]
        self.scores = np.array([one.score for one in self.judged], np.float32)
        self.golden = inspector(bundle.golden()[0]).scores
        self.threshold = calibrate(nearby_scores(held, inspector, spec).max(1), target=target, source="").raw

    def show(self, label: str, plain: Row, size: int) -> None:
        labels = np.array([not one.item.is_good for one in self.judged])
        masks = [one.mask for one in self.judged if one.mask is not None]
        aupro = "-"
        if len(masks) == len(self.judged):
            aupro = f"{metrics.aupro(masks, [one.map for one in self.judged]):.4f}"
        largest = max(
            float(np.abs(one.map - other.map).max())
            for one, other in zip(self.judged, plain.judged, strict=True)
        )
        verdicts = plain.scores >= plain.threshold
        cells = (
            self.name,
            label,
            f"{metrics.auroc(labels, self.scores):.4f}",
            aupro,
            f"{self.threshold:.3f}",
            f"{100 * (self.threshold / plain.threshold - 1):+.1f} %",
            f"{largest / plain.threshold:.3f}",
            f"{np.sum((self.scores >= plain.threshold) != verdicts)} of {len(verdicts)}",
            str(np.sum((self.scores >= self.threshold) != verdicts)),
            str(np.sum((self.golden >= self.threshold) != (plain.golden >= plain.threshold))),
            f"{size / 1e6:.1f}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
