"""Would a cheap gate in front of the full graph pay? The figures in models/README.md.

    python -m tests.benchmarks.bench_cascade --run runs/elpv-student --bundle models/bundles/elpv \\
        --data sample-data/elpv

A gate lets tiles that are clearly good skip the full graph, two kinds of it:

    features    EfficientNet-Lite0 of the input alone: largest mean square of standard scores on any cell,
                against each channel's mean and spread on good training tiles
    coarse      the student itself on tiles of half the side

Its limit comes from held-back good tiles with synthetic defects: of those that the full graph fails, at most
1 % may be skipped (upper end of a 95 % Clopper-Pearson interval). What it then skips of the test split's good
tiles, and the gate's own time, decide the gain; AUROC and recall on the test split decide the price.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor, nn

from agent.bundle.bundle import Bundle, InputSpec, open_bundle
from agent.messages import Flags, Floats, Pixels
from models.data.batches import Tiles, as_tiles, draw_batch, to_images
from models.data.datasets import Item, load_tiles
from models.data.held import good_items
from models.judging.evaluate import checked_split
from models.judging.metrics import auroc
from models.parts.features import Features, load_features
from models.shipping.export import shipped, to_onnx
from models.shipping.variants import by_openvino
from models.student.distill import load_student
from models.student.student import FEATURE_STAGES, to_pixels
from tests.benchmarks.bench_peers import compiled, exported
from tests.benchmarks.turns import take_turns

SPOILT = 1200
MISSED_MAX = 0.01
PRECISION = "bf16"  # what serves here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of the bundle's student")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    good, held = good_items([options.data])
    scene = Scene(bundle, as_tiles(held, bundle.manifest.input), checked_split(options.data))
    gates = (
        coarse_gate(options.run, bundle.manifest.input),
        feature_gate(as_tiles(good, bundle.manifest.input)),
    )
    print(
        "| data | gate | gate, ms | full, ms | bound on missed | skipped, good | faster by | AUROC | recall |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(f"| {options.data.name} | none | - | - | - | - | 1.00 | {scene.figures(scene.full)} |")
    for gate in gates:
        row(options.data.name, scene, gate)


@dataclass(frozen=True, kw_only=True)
class Gate:
    name: str
    scores: Callable[[Pixels], Floats]
    call: Callable[[], object]  # one tile, for timing


class Scene:
    """Tiles and what the full graph makes of them."""

    def __init__(self, bundle: Bundle, held: Tiles, items: list[Item]) -> None:
        spec = bundle.manifest.input
        full, _ = by_openvino(bundle.model, PRECISION)
        self.threshold = bundle.manifest.threshold.raw
        batch = draw_batch(held, SPOILT, 1.0, np.random.default_rng(0))
        spoilt = to_pixels(batch.seen).numpy()[batch.spoilt.numpy()]
        self.failing = spoilt[in_parts(lambda tiles: full(tiles).scores, spoilt) >= self.threshold]
        cut = [load_tiles([item], spec) for item in items]
        self.tiles = np.concatenate(cut)
        self.picture = np.repeat(np.arange(len(cut)), [len(one) for one in cut])
        self.labels: Flags = np.array([not item.is_good for item in items])
        self.full = in_parts(lambda tiles: full(tiles).scores, self.tiles)
        self.call = compiled(bundle.model, self.tiles[:1], PRECISION)

    def figures(self, scores: Floats) -> str:
        """AUROC and recall of pictures from their tiles' scores."""
        worst = np.zeros(len(self.labels), np.float32)
        np.maximum.at(worst, self.picture, scores)
        recall = float((worst[self.labels] >= self.threshold).mean())
        return f"{auroc(self.labels, worst):.4f} | {recall:.3f}"


def row(data: str, scene: Scene, gate: Gate) -> None:
    failing = np.sort(gate.scores(scene.failing))
    missed = allowed_misses(len(failing))
    limit = failing[missed] if missed >= 0 else -np.inf
    skipped = gate.scores(scene.tiles) < limit
    share = float(skipped[~scene.labels[scene.picture]].mean())
    turns = take_turns({"gate": gate.call, "full": scene.call}, rounds=15)
    cost = 1 / turns.times_faster("gate", "full")
    scores = np.where(skipped, np.float32(0), scene.full)
    print(
        f"| {data} | {gate.name} | {1000 * turns.best_s('gate'):.1f} | {1000 * turns.best_s('full'):.1f} "
        f"| {missed} of {len(failing)} | {share:.1%} | {1 / (cost + 1 - share):.2f} "
        f"| {scene.figures(scores)} |",
        flush=True,
    )


def allowed_misses(count: int) -> int:
    """How many of `count` may be skipped for a 95 % upper bound of MISSED_MAX; -1: not even none."""
    misses = -1
    while misses + 1 < count and beta.ppf(0.95, misses + 2, count - misses - 1) <= MISSED_MAX:
        misses += 1
    return misses


def coarse_gate(run: Path, spec: InputSpec) -> Gate:
    side = spec.tile_px // 2
    graph = to_onnx(shipped(load_student(run)[1]), spec.model_copy(update={"tile_px": side, "overlap_px": 0}))
    inspector, _ = by_openvino(graph, PRECISION)

    def scores(tiles: Pixels) -> Floats:
        small = [cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA) for tile in tiles]
        stacked = np.stack(small).reshape(len(tiles), side, side, -1)
        return in_parts(lambda part: inspector(part).scores, stacked)

    return Gate(
        name="coarse",
        scores=scores,
        call=compiled(graph, np.zeros((1, side, side, spec.channels), np.uint8), PRECISION),
    )


class Unusual(nn.Module):
    """The largest mean square of standard scores on any cell of any level, (B,)."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features
        self.means: list[Tensor] = []
        self.spreads: list[Tensor] = []

    def fit(self, images: Tensor) -> None:
        for level in self.features(images.expand(-1, 3, -1, -1)):
            self.means.append(level.mean((0, 2, 3))[:, None, None])
            self.spreads.append(level.std((0, 2, 3))[:, None, None].clamp_min(1e-3))

    def forward(self, images: Tensor) -> Tensor:
        levels = self.features(images.expand(-1, 3, -1, -1))
        found = [
            ((level - mean) / spread).square().mean(1).amax((1, 2))
            for level, mean, spread in zip(levels, self.means, self.spreads, strict=True)
        ]
        return torch.stack(found).amax(0)


def feature_gate(good: Tiles) -> Gate:
    unusual = Unusual(load_features(FEATURE_STAGES[:2])).eval().requires_grad_(False)
    unusual.fit(good.sample(128))
    sample = good.sample(1)[:1]
    graph = exported(unusual, sample.repeat(2, 1, 1, 1))

    def judge(tiles: Pixels) -> Floats:
        with torch.no_grad():
            found: Floats = unusual(to_images(tiles)).numpy()
        return found

    return Gate(
        name="features",
        scores=lambda tiles: in_parts(judge, tiles),
        call=compiled(graph, sample.numpy(), PRECISION),
    )


def in_parts(judge: Callable[[Pixels], Floats], tiles: Pixels) -> Floats:
    return np.concatenate([judge(tiles[start : start + 4]) for start in range(0, len(tiles), 4)])


if __name__ == "__main__":
    main()
