"""`plumbline-lab rescore`: archives of stations judged again by a new bundle, and what would change."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.terminal import console, must_be_there
from agent.errors import PlumblineError
from models.cli.options import say

if TYPE_CHECKING:
    from models.rescoring.report import Report

MOST_ROWS = 40  # of a table on the terminal
EXTRAS = {"pyarrow": "rescore", "ray": "ray"}


def rescore(
    bundle: Annotated[Path, typer.Option(help="the new bundle: a folder or .plumb file")],
    frames: Annotated[
        list[Path],
        typer.Option(
            help="archive of a station (archive.folder), or a folder with many; give it again for more"
        ),
    ],
    out: Annotated[Path, typer.Option(help="for rows and report; one that was begun is gone on with")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="processes, or actors on Ray; default: one for each core"),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="on a Ray cluster: that of RAY_ADDRESS, else one begun here")
    ] = False,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="on this Ray cluster, without --ray; default: none"),
    ] = None,
) -> None:
    """Judge the archives of many stations again by a new bundle, and say what would change.

    Archives are only read, beside running agents too. Rows go to rows/ of --out in Parquet, a report by
    product, station and week to report.json and report.md. The same command goes on with a run that was cut.
    """
    on_ray = ray or ray_address is not None
    must_be_there(bundle, "--bundle", "give a bundle folder or .plumb file")
    for folder in frames:
        must_be_there(folder, "--frames", "give archive.folder of a station, or a folder with many of these")
        if not folder.is_dir():
            raise PlumblineError(f"--frames {folder}: is no folder; give archive.folder of a station")
    _need("pyarrow", "rescore writes Parquet")
    if on_ray:
        _need("ray", "--ray")

    from agent.clock import SystemClock
    from models.rescoring.run import OnRay, Wanted, rescore
    from models.stages import stages_on

    wanted = Wanted(
        bundle=bundle,
        frames=tuple(frames),
        out=out,
        workers=workers,
        ray=OnRay(address=ray_address) if on_ray else None,
    )
    with stages_on(console()) as stages:
        report = rescore(wanted, cores=len(os.sched_getaffinity(0)), clock=SystemClock(), stages=stages)
    _tell(report, out)
    if any(status not in ("judged", "double") for status in report.files):
        raise typer.Exit(ExitCode.NOT_GOOD)


def _need(package: str, what: str) -> None:
    """Said at once, and in words."""
    if find_spec(package) is None:
        raise PlumblineError(
            f"{what}: {package} is not installed here; `pip install 'plumbline[lab,{EXTRAS[package]}]'`, on"
            " each"
            " machine that judges"
        )


def _tell(report: Report, out: Path) -> None:
    from rich import box
    from rich.table import Column, Table

    from models.rescoring.words import MEANT, sentences, tables

    for one in tables(report):
        name, *rest = one.heads
        columns = [
            Column(head, overflow="fold", justify="right", min_width=max(map(len, head.split())))
            for head in rest
        ]
        table = Table(
            Column(name, overflow="fold", min_width=8),
            *columns,
            title=one.title,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for row in one.rows[:MOST_ROWS]:
            table.add_row(*row)
        console().print(table)
        if len(one.rows) > MOST_ROWS:
            say([f"{len(one.rows) - MOST_ROWS} more {one.title} stand in {out / 'report.md'}"])
    say([MEANT, *sentences(report), f"{out}: report.md, report.json, rows/ in Parquet, left_out.jsonl"])
