"""What another light, focus or place of the same test pictures costs a model; no GPU.

    python -m tests.benchmarks.bench_light --model models/bundles/elpv --data sample-data/elpv

Nothing is calibrated anew: the threshold is the bundle's own, as on a line whose lamp ages.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from agent.messages import Pixels
from models.data.datasets import read_image
from models.judging.evaluate import checked_split, open_inspector, score_of
from models.judging.metrics import auroc
from models.parts.variation import SHIFT_PX, at_exposure, out_of_focus, shifted

HEAD = "| test pictures | I-AUROC | points | good ones rejected | caught |"
CHANGES: Mapping[str, Callable[[Pixels], Pixels]] = {
    "as they are": lambda picture: picture,
    "exposure 0.8": partial(at_exposure, factor=0.8),
    "exposure 1.25": partial(at_exposure, factor=1.25),
    "blur of 1 px": out_of_focus,
    f"shift of {SHIFT_PX} px": shifted,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle, or a student's or teacher's run")
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    inspector, spec, threshold = open_inspector(options.model)
    items = checked_split(options.data)
    labels = np.array([not item.is_good for item in items])
    scores: dict[str, list[float]] = {name: [] for name in CHANGES}
    for item in items:
        picture = read_image(item.image, spec.channels)
        for name, change in CHANGES.items():
            scores[name].append(score_of(change(picture), inspector, spec))
    print(HEAD + "\n|" + "---|" * (HEAD.count("|") - 1))
    usual = auroc(labels, np.array(scores["as they are"], np.float32))
    for name, some in scores.items():
        found = np.array(some, np.float32)
        ranked = auroc(labels, found)
        cells = [f"{ranked:.3f}", f"{100 * (ranked - usual):+.1f}", "-", "-"]
        if threshold is not None:
            rejected = found >= np.float32(threshold)
            cells[2:] = [f"{rejected[~labels].mean():.1%}", f"{rejected[labels].mean():.1%}"]
        print("| " + " | ".join([name, *cells]) + " |")


if __name__ == "__main__":
    main()
