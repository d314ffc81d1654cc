"""A published checkpoint to a run folder that `evaluate` and `distill` take, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from agent import durable
from models.data.datasets import DataError, input_spec
from models.data.held import good_items
from models.importing.layouts import LAYOUTS, refuse_other_method
from models.parts.weights import read_checkpoint
from models.stages import SILENT, Stages
from models.training import checkpoint as checkpoints
from models.training.plans import tile_px
from models.training.train import RUN, WEIGHTS, Run, RunError, as_yaml, build

PRESET = "paper"


def import_checkpoint(
    method: str,
    path: Path,
    data: Sequence[Path],
    weights: Path,
    out: Path,
    stages: Stages = SILENT,
) -> Run:
    """Write the run `out` of a checkpoint by the authors of `method`; `weights` is the folder it builds on.

    The size of pictures comes from the good parts below `data`, and so do the products' names where the
    network is not told them. Raises RunError when anything is at `out`, WeightsError, DataError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is not empty; choose another --out")
    with stages.stage("reading the checkpoint"):
        found = read_checkpoint(path)
        refuse_other_method(method, found)
        order = LAYOUTS[method].order(found)
    good, _ = good_items(data)
    names = tuple(sorted({item.product for item in good}))
    if order is not None and (unknown := set(names) - set(order)):
        raise DataError(
            f"{path}: was not trained on {', '.join(sorted(unknown))}; name the folders as its authors did: "
            f"{', '.join(order)}"
        )
    run = Run(
        method=method,
        preset=PRESET,
        seed=0,
        data=order or names,
        input=input_spec(good, tile_px(method, PRESET)),
        weights=str(weights),
        checkpoint=_digest(path),
    )
    with stages.stage("laying out its networks"):
        model = build(run)
        LAYOUTS[method].take(found, model, len(run.data))
    with stages.stage("writing the run"):
        unfinished = durable.unfinished_of(out)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            (unfinished / RUN).write_text(yaml.safe_dump(as_yaml(run), sort_keys=False))
            checkpoints.save(unfinished / WEIGHTS, model.state_dict())
            unfinished.rename(out)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        durable.sync_folder(out.absolute().parent)
    return run


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()
