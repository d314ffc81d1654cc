"""anomalib's OpenVINO exports beside a bundle, by turns: tiles a second, image AUROC and resident memory.

    make bench-anomalib-engine ARGS='--data DIR --weights WEIGHTS'

DIR has pictures of one tile, as `plumbline-lab sample elpv` makes them. Each engine is a process of its own
that judges the same pictures one at a time: anomalib's by its OpenVINOInferencer, ours on the engine that the
line would choose. A model whose weights are not in WEIGHTS (see `bench_anomalib`) is exported untrained: it
costs what it costs, and has no AUROC. anomalib trains on `--good` parts of the split, since the time of its
coreset grows with their square; the bundle was trained on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.demo.bench import machine
from models.data.held import good_items
from models.judging.metrics import auroc
from tests.benchmarks.bench_anomalib import (
    ENVIRONMENT,
    TILE_PX,
    CannotRun,
    in_anomalib,
    need,
    need_anomalib,
    prepare,
    variables,
)
from tests.benchmarks.turns import Turns, take_turns
from tests.tensorrt.environments import ROOT

SAMPLE = ROOT / "models" / "bundles" / "elpv"
EXPORT = "tests.benchmarks.anomalib_export"
MODELS = ("PatchCore, EfficientNet-Lite0", "PatchCore", "EfficientAD-S")
PATCHES = (TILE_PX // 8) ** 2  # of a picture, at PatchCore's finest layer
CORESET = 10  # one patch of so many is kept, by default
TURN = 8  # pictures
PLUMBLINE = "Plumbline"
UNTRAINED = "nothing: no weights"
COLUMNS = (
    "trained on",
    "I-AUROC",
    "tiles/s",
    "Plumbline is faster by",
    "resident, MB",
    "of these by the model",
)


class Seat:
    """A process that judges the pictures of a folder on cue (`seat.py`)."""

    def __init__(self, words: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, cue: str) -> dict[str, Any]:
        """Raises CannotRun when it has died."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(cue + "\n")
            self._process.stdin.flush()
        said = self._process.stdout.readline()
        if not said:
            self.close()
            raise CannotRun(f"{self._process.args} ended with {self._process.returncode}")
        return dict(json.loads(said))

    def close(self) -> None:
        with suppress(BrokenPipeError):  # of a cue that was never read
            self._process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=SAMPLE)
    parser.add_argument("--weights", type=Path, help="folder of downloaded weights; default: none")
    parser.add_argument("--model", action="append", choices=MODELS, help="default: all")
    parser.add_argument("--good", type=int, default=100, help="parts that anomalib trains on")
    parser.add_argument("--steps", type=int, default=1000, help="of training, where a model trains")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--exports", type=Path, help="folder that keeps exports; those there are taken again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as seats:
        folder = Path(name)
        kept, _ = good_items([options.data])
        some = [kept[i] for i in np.linspace(0, len(kept) - 1, min(options.good, len(kept))).astype(int)]
        pictures = prepare(options.data, some, folder / "set").folder
        of_one_tile(pictures)
        trained_on = {PLUMBLINE: "all of them"}
        chairs = {PLUMBLINE: plumbline_seat(options.bundle.resolve(), pictures, seats)}
        for model in options.model or MODELS:
            out = (options.exports or folder).resolve() / model.replace(", ", "-")
            try:
                trained_on[model] = exported(model, pictures, len(some), out, options.weights, options.steps)
                chairs[model] = anomalib_seat(out, pictures, seats)
            except CannotRun as reason:
                print(f"left out: {model}: {reason}", flush=True)
        calls = {name: partial(chair.ask, f"turn {TURN}") for name, chair in chairs.items()}
        turns = take_turns(calls, options.rounds, calls_per_turn=1)
        told = {
            name: chair.ask("turn 1" if trained_on[name] == UNTRAINED else "judge")
            for name, chair in chairs.items()
        }
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds")
    print(f"| model | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for model, answer in told.items():
        print(row(model, trained_on[model], turns, answer))


def of_one_tile(pictures: Path) -> None:
    """Raises SystemExit when a picture is not: then a tile is not a picture."""
    for file in sorted(pictures.glob("test/*/*.png")):
        shape = cv2.imread(str(file), cv2.IMREAD_COLOR).shape[:2]
        if shape != (TILE_PX, TILE_PX):
            size = f"{shape[1]} x {shape[0]} px at the model's scale"
            raise SystemExit(f"{file.name} is {size}; take a set whose pictures are square")


def exported(model: str, pictures: Path, good: int, out: Path, weights: Path | None, steps: int) -> str:
    """Have anomalib's export in `out`; says what the model was trained on. Raises CannotRun."""
    note = out / "trained-on"
    if note.is_file():
        return note.read_text(encoding="utf-8")
    need_anomalib()
    trained_on = UNTRAINED
    try:
        need(model, weights)
    except CannotRun:
        patches = good * PATCHES // CORESET
        in_anomalib([EXPORT, "--untrained", model, str(patches), str(out)], weights)
    else:
        words = [EXPORT, model, str(pictures), str(out), str(steps)]
        minutes = in_anomalib(words + ([] if weights is None else [str(weights / "imagenette")]), weights)
        trained_on = f"{good}, {float(minutes):.1f} min of processor"
    note.write_text(trained_on, encoding="utf-8")
    return trained_on


def plumbline_seat(bundle: Path, pictures: Path, seats: ExitStack) -> Seat:
    words = [sys.executable, "-m", "tests.benchmarks.seat_plumbline", str(bundle), str(pictures / "test")]
    return taken(Seat(words, pictures, {**os.environ, "PYTHONPATH": str(ROOT)}), seats)


def anomalib_seat(out: Path, pictures: Path, seats: ExitStack) -> Seat:
    """Raises CannotRun when anomalib does not open its own export."""
    words = [str(ENVIRONMENT / "bin" / "python"), "-m", "tests.benchmarks.seat_anomalib"]
    model = out / "weights" / "openvino" / "model.xml"
    return taken(Seat([*words, str(model), str(pictures / "test")], out, variables(None)), seats)


def taken(seat: Seat, seats: ExitStack) -> Seat:
    """Once it has judged a picture."""
    seats.callback(seat.close)
    seat.ask("turn 1")
    return seat


def row(model: str, trained_on: str, turns: Turns, answer: Mapping[str, Any]) -> str:
    found = "-"
    if trained_on != UNTRAINED:
        labels = np.array([name.startswith("bad/") for name in answer["scores"]])
        found = f"{auroc(labels, np.array([*answer['scores'].values()], np.float32)):.3f}"
    cells = [
        trained_on,
        found,
        f"{TURN / turns.median_s(model):.1f}",
        "1" if model == PLUMBLINE else f"{turns.times_faster(PLUMBLINE, model):.1f}",
        f"{answer['resident_mb']:.0f}",
        f"{answer['grown_mb']:.0f}",
    ]
    return "| " + " | ".join([model, *cells]) + " |"


if __name__ == "__main__":
    main()
