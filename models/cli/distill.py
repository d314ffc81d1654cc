"""`plumbline-lab distill`: the one-step student of trained teachers."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.terminal import console
from models.cli.options import LOADING, AllData, Images, RunOut, Seed, ShardCount, say
from models.store import Place, place


def distill(
    teachers: Annotated[
        list[Place],
        typer.Argument(parser=place, metavar="RUN...", help="one or several trained teachers: paths or URLs"),
    ],
    data: AllData,
    out: RunOut,
    seed: Seed = 0,
    images: Images = None,
    shards: ShardCount = None,
) -> None:
    """Teach the one-step student; the same command resumes."""
    from models.data import preflight
    from models.data.held import preview
    from models.stages import stages_on

    for teacher in teachers:
        preflight.need_run(teacher, student=False)
    preflight.need_writable_folder(out, "--out")
    preflight.need_no_other(out, student=True)
    say(preview(data))

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.student.distill import distill as run
        made = run(teachers, data, out, seed=seed, images=images, shards=shards, stages=stages)
    say([f"student: {made}"])
