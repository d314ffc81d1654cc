"""`plumbline archive`: how full the archive of judged frames is, and whether its entries are sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exit_codes import NotGood, exits
from agent.cli.options import Config
from agent.cli.terminal import say
from agent.errors import PlumblineError

app = typer.Typer(
    no_args_is_help=True,
    help="Judged frames on disk: how many, and whether they are sound.",
    epilog=exits("a frame is damaged"),
)


@app.command(epilog=exits())
def info(config: Config) -> None:
    """How many frames are kept, and since when; works beside a running agent."""
    from agent.archive.look import summary
    from agent.settings import settings

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


@app.command(epilog=exits("a frame is damaged"))
def check(
    config: Config,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="make the index anew first; the agent must be stopped")
    ] = False,
) -> None:
    """Read every frame and check its digests; all of them, also behind a damaged one."""
    from agent.archive import look
    from agent.archive.shelf import Shelf
    from agent.clock import SystemClock
    from agent.settings import settings

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
    if damaged:
        raise NotGood(f"{folder}: {sound} frames are sound, {damaged} are not")
    say(f"{folder}: {sound} frames are sound")


def _folder(folder: Path | None) -> Path:
    if folder is None:
        raise PlumblineError("archive.folder is not set, so no frames are kept; name a folder there")
    return folder
