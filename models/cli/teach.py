"""`plumbline-lab teach`: a folder of good pictures to a bundle and a settings file, by one command."""

from __future__ import annotations

import logging
import re
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.terminal import console, finite
from models.cli.options import say


def teach(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="pictures of good parts, or folders good and bad; data sets as of --data"
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="where to write; the same goes on; default: DIR-taught beside DIR")
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(min=1, max=10_080, callback=finite, help="time that it may take, as is estimated first"),
    ] = 30.0,
    preset: Annotated[
        Literal["nano", "edge"] | None, typer.Option(help="size; default: the largest that fits the time")
    ] = None,
    target_frr: Annotated[
        float, typer.Option(min=1e-6, max=0.5, callback=finite, help="false-reject rate to promise")
    ] = 0.05,
    name: Annotated[
        str | None, typer.Option(help="the bundle's name, of a-z, 0-9, _ and -; default: that of DIR")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done and how long it takes, and end")
    ] = False,
) -> None:
    """Train, distil, calibrate, export and report in one go, beside a running line at low priority.

    Ctrl-C ends it with all that is done on the disk; the same command goes on there.
    """
    from agent.settings.section import IDENTIFIER
    from models.data import preflight
    from models.stages import spoken
    from models.teaching import plan as plans
    from models.teaching.look import look, unfit

    bundle = name or re.sub(r"[^a-z0-9_-]+", "-", data.resolve().name.lower()).strip("-")[:64] or "taught"
    if not re.fullmatch(IDENTIFIER, bundle):
        raise typer.BadParameter(f"--name {bundle!r}: give a name of a-z, 0-9, _ and -")
    place = out or data.resolve().with_name(f"{data.resolve().name}-taught")
    preflight.need_writable_folder(place, "--out")
    found = look(data, target_frr)
    say(found.lines)
    plan = plans.plan(preset, minutes, plans.speed())
    count = plan.teacher_images + plan.student_images
    say([f"{plan.preset}, {count} training pictures, about {spoken(plan.seconds)}; written to {place}"])
    say(unfit(found))
    if dry_run:
        return

    from models.teaching.progress import shown_on

    console().print("loading torch; Ctrl-C ends it, and the same command goes on", markup=False)
    from models.teaching.teach import be_low, begin
    from models.teaching.teach import teach as run

    be_low()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which no student needs
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")  # of torch, about itself

    state = begin(place, found, plan, target=target_frr, name=bundle, minutes=minutes)
    command = shlex.join(["plumbline-lab", *sys.argv[1:]])
    with shown_on(console(), time.monotonic) as whole:
        taught = run(data, place, found, state, whole, command)
    say(taught.report.lines)
    say([f"bundle: {taught.bundle.path}", f"report: {taught.report.folder}"])
    say([f"to run it: plumbline run -c {shlex.quote(str(taught.settings))}"])
