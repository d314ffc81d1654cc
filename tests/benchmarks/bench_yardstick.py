"""The yardstick at each choice of strides: by what it is chosen, and what each would do on the test split.

The product judges a test split by the marked one alone. It is marked by held-back good parts and by defects
that no training saw; the test split's figures beside it say what that mark was worth.

    python -m tests.benchmarks.bench_yardstick --data DIR --data DIR
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from agent.line.prepare import cut_tiles
from models.data.datasets import input_spec
from models.data.held import good_items
from models.judging.evaluate import Judged, checked_split, figures, judge_item
from models.judging.paired import paired
from models.judging.yardstick import Built, build, look, picture_of

TILE_PX = 256  # of the edge preset
HEAD = "| data | strides | unseen defects | I-AUROC | 95 % | P-AP | AUPRO@0.3 | s to build |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    options = parser.parse_args()
    print("\n".join([HEAD, "|" + "---|" * HEAD.count(" | ") + "---|"]), flush=True)
    for root in options.data:
        kept, held = good_items([root])
        spec = input_spec(kept, TILE_PX)
        built = build(kept, held, spec)
        judged: dict[tuple[int, ...], list[Judged]] = {strides: [] for strides in built.choices}
        for item in checked_split(root):
            tiles, _ = cut_tiles(picture_of(item, spec), spec)
            looks = [look(built.yardstick.features, tile) for tile in tiles]  # once for all choices
            for strides, choice in built.choices.items():
                judged[strides].append(judge_item(item, partial(choice.judge, looks), spec))
        for strides, some in judged.items():
            print(row(root.name, strides, built, some), flush=True)


def row(name: str, strides: tuple[int, ...], built: Built, judged: list[Judged]) -> str:
    found = figures(judged, None)
    labels = np.array([not one.item.is_good for one in judged])
    scores = np.array([one.score for one in judged], np.float32)
    beside_guessing = paired(labels, scores, np.zeros_like(scores))  # which is 0.5 in every draw
    low, high = 0.5 + beside_guessing.low, 0.5 + beside_guessing.high
    mark = " (chosen)" if strides == built.strides else ""
    pixel = [f"{value:.3f}" if value is not None else "-" for value in (found.pixel_ap, found.aupro_03)]
    return (
        "| "
        + " | ".join(
            [
                name,
                ", ".join(map(str, strides)) + mark,
                f"{built.aurocs[strides]:.3f}",
                f"{found.image_auroc:.3f}",
                f"{low:.3f} to {high:.3f}",
                *pixel,
                f"{built.seconds:.0f}",
            ]
        )
        + " |"
    )


if __name__ == "__main__":
    main()
