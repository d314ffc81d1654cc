"""`plumbline-lab distill`: the one-step student of trained teachers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from agent.cli.terminal import console
from models.cli.options import LOADING, AllData, Images, RunOut, Seed, ShardCount, say
from models.store import Place, place


def distill(
    data: AllData,
    out: RunOut,
    teachers: Annotated[
        list[Place] | None,
        typer.Argument(
            parser=place,
            metavar="[RUN...]",
            help="trained teachers: paths or URLs; default: none, the student learns from the truth alone",
        ),
    ] = None,
    preset: Annotated[
        Literal["nano", "edge", "paper"] | None,
        typer.Option(help="size of a student without a teacher; default: edge"),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="ask teachers about new pictures at each step; takes far longer")
    ] = False,
    accept_worse: Annotated[
        bool,
        typer.Option(
            "--accept-worse",
            help="ask a teacher that ranks worse than a plain memory of good parts, too; none is tried first",
        ),
    ] = False,
    seed: Seed = 0,
    images: Images = None,
    shards: ShardCount = None,
) -> None:
    """Teach the one-step student; the same command resumes."""
    from models.data import preflight
    from models.data.held import preview
    from models.stages import stages_on

    teachers = teachers or []
    if teachers and preset is not None:
        raise typer.BadParameter("the preset is the teachers' own; leave it out", param_hint="--preset")
    if anew and not teachers:
        raise typer.BadParameter("there is no teacher to ask; give its RUN", param_hint="--anew")
    for teacher in teachers:
        preflight.need_run(teacher, student=False)
    preflight.need_writable_folder(out, "--out")
    preflight.need_no_other(out, student=True)
    say(preview(data))

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.judging.teachers import need_able
            from models.student.distill import distill as run
        if teachers and not accept_worse and not preflight.is_begun(out):
            for teacher, standing in zip(teachers, need_able(teachers, data, stages), strict=True):
                say([f"{teacher}: {standing.words()}"])
        made = run(
            teachers,
            data,
            out,
            seed=seed,
            images=images,
            shards=shards,
            untaught=preset or "edge",
            anew=anew,
            stages=stages,
        )
    say([f"student: {made}"])
