"""Options that several commands have, and how they all speak."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.terminal import say as say_line
from models.store import ADDRESS, Place, place

LOADING = "loading torch"


def only_here(path: Path) -> Path:
    """Refuse an address, of which a folder with an odd name would be made."""
    if ADDRESS.match(str(path)) and ":/" in str(path):
        raise typer.BadParameter("an address; give a path of this machine, and copy what was written there")
    return path


LAYOUTS = "MVTec-AD layout, a manifest.csv, VisA's split csv, or a plain folder of good parts"
Data = Annotated[Path, typer.Option("--data", help=LAYOUTS)]
AllData = Annotated[
    list[Path], typer.Option("--data", help=f"{LAYOUTS}; give it again for each further product")
]
Out = Annotated[Path, typer.Option("--out", callback=only_here, help="where to write")]
RunOut = Annotated[
    Place,
    typer.Option("--out", parser=place, metavar="PATH|URL", help="where to write; also s3://BUCKET/RUN"),
]
Seed = Annotated[int, typer.Option(min=0, help="the same run for the same seed")]
Images = Annotated[int | None, typer.Option(min=1, help="training pictures; default: the preset's")]
ShardCount = Annotated[
    int | None,
    typer.Option(
        "--shards",
        min=1,
        max=64,
        help="parts of a batch, for as many processes at most; default: the preset's",
    ),
]
Key = Annotated[
    Path | None, typer.Option(help="Ed25519 private key in PEM to sign with; default: not signed")
]


def say(lines: Sequence[str]) -> None:
    """As they stand, once for all processes that `torchrun` has started."""
    if os.environ.get("RANK", "0") == "0":
        for line in lines:
            say_line(line)
