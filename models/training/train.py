"""Train a method on the good parts of one or several data sets; the same command resumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from agent.bundle.bundle import InputSpec
from agent.errors import PlumblineError
from models import store
from models.data import preflight
from models.data.batches import as_tiles, draw_batch
from models.data.datasets import input_spec
from models.data.held import good_shares
from models.methods import METHODS
from models.stages import SILENT, Stages
from models.store import ObjectPath, Place
from models.training import checkpoint
from models.training.fit import Draw, fit, new_fabric, part, processes, refuse_uneven
from models.training.plans import TEACHERS, tile_px
from models.training.shards import deal, read_shards

RUN, STUDENT, WEIGHTS = preflight.RUN, preflight.STUDENT, preflight.WEIGHTS


class RunError(PlumblineError):
    """The run folder does not fit the command; says what differs."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `run.yaml` says of a teacher."""

    method: str
    preset: str
    seed: int
    data: tuple[str, ...]  # names of the data sets, each one product, in the order of a class embedding
    input: InputSpec
    weights: str | None = None  # folder of published weights
    checkpoint: str | None = None  # digest of the published checkpoint that it was imported from
    shards: int | None = None  # where others than the plan's were asked for: they draw other batches


def train(
    method: str,
    data: Sequence[Path],
    preset: str,
    out: Place,
    *,
    seed: int = 0,
    images: int | None = None,
    shards: int | None = None,
    weights: Path | None = None,
    stages: Stages = SILENT,
) -> Place:
    """Train `method` on the good training parts below each of `data` into `out`; returns the weights' path.

    Raises ProcessesError as `refuse_uneven` and `deal` do, DataError for unusable data, WeightsError for
    absent published weights, RunError when `out` holds a run of other options and PreflightError when it
    holds a student.
    """
    plan = TEACHERS[method, preset].sized(images, seed, shards)
    refuse_uneven(plan, processes())
    shares = good_shares(data)
    good = shares.train
    deal(good, plan.shards)
    spec = input_spec(good, tile_px(method, preset))
    names = tuple(sorted({item.product for item in good}))
    run = Run(
        method=method,
        preset=preset,
        seed=seed,
        data=names,
        input=spec,
        weights=str(weights) if weights else None,
        shards=shards,
    )
    preflight.need_no_other(out, student=False)
    fabric = new_fabric()
    tiles = read_shards(good, spec, plan, fabric, stages)
    model = build(run).to(fabric.device, memory_format=torch.channels_last)
    claim(out / RUN, as_yaml(run), write=fabric.global_rank == 0)
    model.fit_statistics(tiles.sample.sample(256).to(fabric.device))

    def losses(module: Any, count: int, draw: Draw) -> dict[str, Tensor]:
        batch = draw_batch(tiles.own[draw.shard], count, model.spoilt_share, draw.numpy)
        terms: dict[str, Tensor] = module.loss(batch.to(fabric.device), draw.torch)
        return terms

    label = f"training {method} {preset}"
    average = fit(model, losses, plan, out, label=label, fabric=fabric, stages=stages)
    if fabric.global_rank == 0:
        rng = torch.Generator().manual_seed(seed)
        some = as_tiles(shares.evidence, spec, stages).sample(64).to(fabric.device)
        average.fit_evidence(some, rng, stages)
        checkpoint.save(out / WEIGHTS, average.state_dict())
    part(fabric)
    return out / WEIGHTS


def build(run: Run) -> Any:
    """The untrained method that `run` describes, seeded."""
    module = METHODS[run.method]
    torch.manual_seed(run.seed)
    config = module.adapted(
        module.PRESETS[run.preset],
        channels=run.input.channels,
        products=len(run.data),
        weights=Path(run.weights) if run.weights else None,
    )
    return module.build(config)


def load_teacher(folder: Place) -> tuple[Run, Any]:
    """The trained method in eval mode, and what it is.

    Raises RunError when `folder` has none, CheckpointError when its weights are damaged or foreign.
    """
    state = checkpoint.load(folder / WEIGHTS)
    if state is None or (folder / STUDENT).is_file():
        raise RunError(
            f"{folder}: no finished teacher; run `plumbline-lab train ... --out {folder}` to its end"
        )
    run = read_run(folder)
    model = build(run)
    checkpoint.fill(model, state, folder / WEIGHTS)
    return run, model.eval().requires_grad_(False)


def read_run(folder: Place) -> Run:
    """What `run.yaml` in `folder` says. Raises RunError when it cannot be read as a run."""
    try:
        content = yaml.safe_load((folder / RUN).read_text())
        return Run(
            **{
                **content,
                "data": tuple(content["data"]),
                "input": InputSpec.model_validate(content["input"]),
            }
        )
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise RunError(f"{folder / RUN}: not what a run says of itself ({error}); train again") from error


def as_yaml(run: Run) -> dict[str, object]:
    """The run as plain values, as they stand in `run.yaml`."""
    return {**dataclasses.asdict(run), "data": list(run.data), "input": run.input.model_dump()}


def claim(path: Place, wanted: Mapping[str, object], *, write: bool = True) -> None:
    """Write what a run is, or check that what is there says the same. Raises RunError and StoreError."""
    if not path.is_file() and write:
        content = yaml.safe_dump(dict(wanted), sort_keys=False).encode()
        if not isinstance(path, ObjectPath):
            store.write(path, content)
            return
        if path.put_new(content):
            return
    if path.is_file():
        try:
            there = yaml.safe_load(path.read_text())
            differs = [key for key in wanted if there.get(key) != wanted[key]]
        except (yaml.YAMLError, AttributeError, ValueError) as error:
            raise RunError(f"{path}: not what a run says of itself; choose another --out") from error
        if differs:
            raise RunError(
                f"{path.parent}: holds a run with another {', '.join(differs)}; choose another --out"
            )
