"""Train a method on the good parts of a data set; the same command resumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from agent.bundle import InputSpec
from agent.errors import PlumblineError
from agent.messages import Pixels
from models import checkpoint
from models.data import good_training, hold_out, input_spec, load_items, load_tiles
from models.fit import Draw, Plan, fit
from models.methods import METHODS
from models.precision import training_device

RUN = "run.yaml"
STUDENT = "student.yaml"  # beside it when the run is a student's
WEIGHTS = "weights.pt"
HOLD_OUT_EVERY = 8  # every 8th run of good parts calibrates and is never trained on

Preset = Literal["nano", "edge", "paper"]

PLANS: dict[str, Plan] = {
    "nano": Plan(images=256, batch=8, rate=1e-3),
    "edge": Plan(images=26_000, batch=8, rate=4e-4),
    "paper": Plan(images=3267 * 800, batch=128, rate=1e-4, ema=0.9999),
}
TILE_PX: dict[str, int] = {"nano": 64, "edge": 256, "paper": 256}


class RunError(PlumblineError):
    """The run folder does not fit the command; says what differs."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `run.yaml` says of a teacher."""

    method: str
    preset: str
    seed: int
    data: str
    input: InputSpec


def train(
    method: str, data: Path, preset: str, out: Path, *, seed: int = 0, images: int | None = None
) -> Path:
    """Train `method` on the good training parts below `data` into `out`; returns the weights' path.

    Raises DataError for unusable data and RunError when `out` holds a run of other options.
    """
    items = load_items(data)
    good, held = hold_out(good_training(items, data), HOLD_OUT_EVERY)
    spec = input_spec(good, TILE_PX[preset])
    run = Run(method=method, preset=preset, seed=seed, data=data.name, input=spec)
    if (out / STUDENT).is_file():
        raise RunError(f"{out}: holds a student; choose another --out")
    claim(out / RUN, {**dataclasses.asdict(run), "input": spec.model_dump()})
    tiles = load_tiles(good, spec)
    plan = dataclasses.replace(PLANS[preset], seed=seed, **({"images": images} if images else {}))
    device = training_device()
    model = build(run).to(device, memory_format=torch.channels_last)
    model.fit_statistics(to_images(tiles[:: max(1, len(tiles) // 256)]).to(device))

    def losses(draw: Draw) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = model.loss(
            good_batch(tiles, plan.batch, draw.numpy).to(device), draw.torch
        )
        return terms

    average = fit(model, losses, plan, out, label=f"{method} {preset}")
    average.fit_evidence(to_images(load_tiles(held, spec)).to(device))
    checkpoint.save(out / WEIGHTS, average.state_dict())
    return out / WEIGHTS


def build(run: Run) -> Any:
    """The untrained method that `run` describes, seeded."""
    module = METHODS[run.method]
    torch.manual_seed(run.seed)
    return module.build(module.with_channels(module.PRESETS[run.preset], run.input.channels))


def load_teacher(folder: Path) -> tuple[Run, Any]:
    """The trained method in eval mode, and what it is.

    Raises RunError when `folder` has none, CheckpointError when its weights are damaged.
    """
    state = checkpoint.load(folder / WEIGHTS)
    if state is None:
        raise RunError(
            f"{folder}: no finished teacher; run `plumbline-lab train ... --out {folder}` to its end"
        )
    run = read_run(folder)
    model = build(run)
    model.load_state_dict(state)
    return run, model.eval().requires_grad_(False)


def read_run(folder: Path) -> Run:
    content = yaml.safe_load((folder / RUN).read_text())
    return Run(**{**content, "input": InputSpec.model_validate(content["input"])})


def good_batch(tiles: Pixels, count: int, rng: np.random.Generator) -> Tensor:
    """`count` augmented good tiles as images (B, C, H, W)."""
    chosen = tiles[rng.integers(0, len(tiles), count)]
    return to_images(np.stack([augmented(tile, rng) for tile in chosen]))


def augmented(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirrored at random and with the exposure a little off, as lamps and lenses are."""
    if rng.random() < 0.5:
        tile = tile[::-1]
    if rng.random() < 0.5:
        tile = tile[:, ::-1]
    exposed = tile * rng.uniform(0.85, 1.15) + rng.uniform(-12, 12)
    return np.asarray(np.clip(exposed, 0, 255), np.uint8)


def to_images(tiles: Pixels) -> Tensor:
    """uint8 (N, H, W, C) to float (N, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1


def claim(path: Path, wanted: Mapping[str, object]) -> None:
    """Write what a run is, or check that what is there says the same. Raises RunError."""
    if path.is_file():
        there = yaml.safe_load(path.read_text())
        differs = [key for key in wanted if there.get(key) != wanted[key]]
        if differs:
            raise RunError(
                f"{path.parent}: holds a run with another {', '.join(differs)}; choose another --out"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(wanted), sort_keys=False))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
