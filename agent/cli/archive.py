"""`plumbline archive`: how full the archive of judged frames is, and whether its entries are sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import say, say_json
from agent.errors import PlumblineError
from agent.foreign import stored

if TYPE_CHECKING:
    from agent.settings import archive as settings_of_archive

app = typer.Typer(
    no_args_is_help=True,
    help="Judged frames on disk: how many, and whether they are sound.",
    epilog=exits("see each command"),
)


@app.command(epilog=exits())
def info(config: Config, as_json: Json = False) -> None:
    """How many frames are kept, and since when; works beside a running agent.

    With --json: folder, entries, size_bytes, max_bytes, marked, verdicts, oldest, newest, torn.
    """
    from agent.archive.look import summary

    wanted, folder = _archive(config)
    found = summary(folder)
    if as_json:
        say_json(
            {
                "folder": stored(str(folder)),
                "entries": found.entries,
                "size_bytes": found.size_bytes,
                "max_bytes": wanted.max_bytes,
                "marked": found.marked,
                "verdicts": dict(found.verdicts),
                "oldest": found.oldest,
                "newest": found.newest,
                "torn": found.torn,
            }
        )
        return
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
    """Read every frame and check its digests; works beside a running agent."""
    from agent.archive import look
    from agent.archive.shelf import Shelf
    from agent.clock import SystemClock

    wanted, folder = _archive(config)
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
        raise typer.Exit(ExitCode.NOT_GOOD)


def _archive(config: Path) -> tuple[settings_of_archive.Archive, Path]:

    wanted = loaded(config).archive
    if wanted.folder is None:
        raise PlumblineError("archive.folder is not set, so no frames are kept; name a folder there")
    return wanted, wanted.folder
