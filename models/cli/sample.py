"""`plumbline-lab sample`: public pictures to begin with."""

from __future__ import annotations

import filecmp
import shutil
from typing import Annotated, Literal, get_args

import typer

from agent.errors import PlumblineError
from agent.foreign import shown
from models.cli.options import Out, say


def sample(
    name: Annotated[str, typer.Argument(help="elpv: solar cells")],
    out: Out,
    kind: Annotated[
        Literal["mono", "poly"] | None, typer.Option(help="cells of one crystal only; default: both")
    ] = None,
    development: Annotated[
        bool, typer.Option("--development", help="split the runs that train once more, to choose on")
    ] = False,
) -> None:
    """Write a public sample set in MVTec-AD layout."""
    if name != "elpv":
        raise typer.BadParameter(f"{name!r} is not a sample set; there is: elpv")
    from agent.demo.cells import Split, for_development, load_cells

    cells = load_cells()
    counts: dict[str, int] = {}
    for cell in for_development(cells) if development else cells:
        if "/" not in cell.split:
            continue  # neither trained on nor judged
        if kind not in (None, cell.kind):
            continue
        folder = out / cell.split
        if any((out / other / cell.image.name).exists() for other in get_args(Split) if other != cell.split):
            raise PlumblineError(
                f"{shown(str(out))}: has {cell.image.name} in another split already; give a new --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        there = folder / cell.image.name
        if there.exists() and not filecmp.cmp(cell.image, there, shallow=False):
            raise PlumblineError(
                f"{shown(str(there))}: is there already and another picture; give a new --out"
            )
        shutil.copyfile(cell.image, there)
        counts[cell.split] = counts.get(cell.split, 0) + 1
    say([f"{out}: " + ", ".join(f"{count} {split}" for split, count in counts.items())])
