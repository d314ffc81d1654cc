"""`plumbline-lab teach`: a folder of good pictures to a bundle and a settings file, by one command."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Annotated, Literal

import typer

from agent.cli.terminal import console, finite
from agent.contract.taught import SCHEMA
from models.cli.options import say as say_lines


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
    as_json: Annotated[
        bool, typer.Option("--json", help="for programs: a JSON object a line, none of it for people")
    ] = False,
) -> None:
    """Train, distil, calibrate, export and report in one go, beside a running line at low priority.

    Ctrl-C or SIGTERM ends it with all that is done on the disk; the same command goes on there. With --json
    each line has schema and kind: plan (preset, images, seconds, lines), far (share, words, left_s), done
    (bundle, sha256, report, held, lines).
    """
    from agent.settings.section import IDENTIFIER
    from models.data import preflight
    from models.stages import spoken
    from models.teaching import plan as plans
    from models.teaching.look import look, unfit
    from models.teaching.state import read_state

    bundle = name or re.sub(r"[^a-z0-9_-]+", "-", data.resolve().name.lower()).strip("-")[:64] or "taught"
    if not re.fullmatch(IDENTIFIER, bundle):
        raise typer.BadParameter(f"--name {bundle!r}: give a name of a-z, 0-9, _ and -")
    place = out or data.resolve().with_name(f"{data.resolve().name}-taught")
    preflight.need_writable_folder(place, "--out")
    out_of_it = _apart() if as_json else None

    def tell(kind: str, **values: object) -> None:
        if out_of_it is not None:
            out_of_it.write(json.dumps({"schema": SCHEMA, "kind": kind, **values}) + "\n")
            out_of_it.flush()

    def say(lines: Sequence[str]) -> None:
        if out_of_it is None:
            say_lines(lines)

    found = look(data, target_frr)
    say(found.lines)
    there, gflops = read_state(place), plans.speed()
    plan = (
        plans.plan(preset, minutes, gflops)
        if there is None
        else plans.begun(there.preset, there.teacher_images, there.student_images, gflops)
    )
    count = plan.teacher_images + plan.student_images
    say([f"{plan.preset}, {count} training pictures, about {spoken(plan.seconds)}; written to {place}"])
    strange = unfit(found)
    say(strange)
    tell("plan", preset=plan.preset, images=count, seconds=plan.seconds, lines=[*found.lines, *strange])
    if dry_run:
        return

    from models.teaching.progress import said_by, shown_on

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say(["loading torch; Ctrl-C ends it, and the same command goes on"])
    from models.teaching.teach import be_low, begin
    from models.teaching.teach import teach as run

    be_low()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which no student needs
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")  # of torch, about itself

    state = begin(place, found, plan, target=target_frr, name=bundle, minutes=minutes)
    command = shlex.join(["plumbline-lab", *sys.argv[1:]])
    told = said_by(lambda one: tell(**one), time.monotonic, plan.seconds)  # type: ignore[arg-type]
    with nullcontext(told) if as_json else shown_on(console(), time.monotonic) as whole:
        taught = run(data, place, found, state, whole, command)
    tell(
        "done",
        bundle=str(taught.bundle.path),
        sha256=taught.bundle.sha256,
        report=str(taught.report.folder),
        held=[one.image.name for one in found.held],
        lines=list(taught.report.lines),
    )
    say(taught.report.lines)
    say([f"bundle: {taught.bundle.path}", f"report: {taught.report.folder}"])
    say([f"to run it: plumbline run -c {shlex.quote(str(taught.settings))}"])


def _apart() -> IO[str]:
    """Where lines of JSON go; what libraries print goes to standard error."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own
