"""`plumbline-lab train`: a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.terminal import console
from models.cli.options import LOADING, AllData, Images, RunOut, Seed, ShardCount, say


def train(
    method: Annotated[
        Literal["decodiff", "diffusionad", "glad", "diad"], typer.Argument(help="how it is taught")
    ],
    data: AllData,
    out: RunOut,
    preset: Annotated[Literal["nano", "edge", "paper"], typer.Option(help="its size")] = "edge",
    seed: Seed = 0,
    images: Images = None,
    shards: ShardCount = None,
    weights: Annotated[
        Path | None, typer.Option(help="folder of published weights, for the paper preset; default: none")
    ] = None,
) -> None:
    """Train a teacher on good parts; the same command resumes, and `torchrun` spreads it over GPUs."""
    from models.data import preflight
    from models.data.held import preview
    from models.stages import stages_on

    preflight.need_folder(weights, "--weights")
    preflight.need_writable_folder(out, "--out")
    preflight.need_no_other(out, student=False)
    say(preview(data))

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.training.train import train as run
        made = run(
            method,
            data,
            preset,
            out,
            seed=seed,
            images=images,
            shards=shards,
            weights=weights,
            stages=stages,
        )
    say([f"teacher: {made}"])
