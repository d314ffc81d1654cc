"""`plumbline-lab import`: what the authors of a method have published, as a run of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.terminal import console
from agent.foreign import shown
from models.cli.options import LOADING, AllData, Out, say


def import_(
    method: Annotated[Literal["decodiff", "glad", "diad"], typer.Argument(help="whose checkpoint it is")],
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="the authors' file, as published")],
    data: AllData,
    weights: Annotated[
        Path, typer.Option(help="folder of the published weights that it builds on, as for train")
    ],
    out: Out,
) -> None:
    """Make the authors' checkpoint a teacher's run; nothing that the file carries is executed."""
    from models.data import preflight
    from models.data.held import preview
    from models.stages import stages_on

    preflight.need_file(checkpoint, "CHECKPOINT")
    preflight.need_folder(weights, "--weights")
    preflight.need_writable_folder(out, "--out")
    say(preview(data))

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.importing.run import import_checkpoint
        run = import_checkpoint(method, checkpoint, data, weights, out, stages)
    say([f"teacher: {out}, {method} of {', '.join(shown(name) for name in run.data)}"])
