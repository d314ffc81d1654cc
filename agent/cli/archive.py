"""`plumbline archive`: how full the archive of judged frames is, and whether its entries are sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.terminal import say
from agent.errors import PlumblineError
from agent.settings import settings

app = typer.Typer(no_args_is_help=True, help="Judged frames on disk: how many, and whether they are sound.")

Config = Annotated[Path, typer.Option("--config", "-c", help="settings, see config/agent.yaml")]


@app.command()
def info(config: Config) -> None:
    """How many frames are kept, and since when; works beside a running agent."""
    from agent.archive.look import summary

    wanted = settings.load(config).archive
    folder = _folder(wanted.folder)
    found = summary(folder)
    say(f"{folder}: {found.entries} frames, {found.size_bytes / 1e6:.1f} of {wanted.max_bytes / 1e6:.0f} MB")
    if found.entries:
        say(f"  {found.oldest} to {found.newest}")
        counts = [f"{count} {verdict}" for verdict, count in sorted(found.verdicts.items())]
        say(f"  {', '.join(counts)}; {found.marked} marked by people")
    if found.torn:
        say(f"  {found.torn} that were cut short lie in {folder / 'torn'}")


@app.command()
def check(
    config: Config,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="make the index anew first; the agent must be stopped")
    ] = False,
) -> None:
    """Read every frame and check its digests; exit 1 when one is damaged."""
    from agent.archive import look
    from agent.archive.shelf import Shelf
    from agent.clock import SystemClock

    wanted = settings.load(config).archive
    folder = _folder(wanted.folder)
    if rebuild:
        shelf = Shelf(folder, wanted, clock=SystemClock())
        shelf.rebuild()
        say(f"{folder}: the index was made anew and has {shelf.entries} frames")
        shelf.close()
    sound = damaged = 0
    for trouble in look.check(folder):
        if trouble is None:
            sound += 1
            continue
        damaged += 1
        say(trouble)
    say(f"{folder}: {sound} frames are sound, {damaged} are not")
    if damaged:
        raise typer.Exit(1)


def _folder(folder: Path | None) -> Path:
    if folder is None:
        raise PlumblineError("archive.folder is not set, so no frames are kept; name a folder there")
    return folder
