"""`plumbline outbox`: what waits for the broker, and what it has had."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import Config, Json
from agent.cli.terminal import say, say_json
from agent.foreign import stored

app = typer.Typer(
    no_args_is_help=True,
    help="Look at what waits for the broker and what it has had.",
    epilog=exits("see each command"),
)
MAX_SEQUENCE = (1 << 63) - 1
First = Annotated[int, typer.Option("--from", min=1, max=MAX_SEQUENCE, help="first sequence")]
Last = Annotated[int, typer.Option("--to", min=1, max=MAX_SEQUENCE, help="last sequence")]


@app.command(epilog=exits())
def status(config: Config, as_json: Json = False) -> None:
    """What waits, what can be replayed, and what was refused; works beside a running agent.

    With --json: path, rows, bytes, oldest_s, kinds, readers, unconfirmed, replaying, delivered, refused.
    """
    from agent.clock import SystemClock
    from agent.outbox.file import read_depth
    from agent.outbox.history import dead_letters, span
    from agent.settings import settings

    path = settings.load(config).outbox.path
    depth, history, refused = read_depth(path, clock=SystemClock()), span(path), dead_letters(path)
    if as_json:
        say_json(
            {
                "path": stored(str(path)),
                "rows": depth.rows,
                "bytes": depth.bytes,
                "oldest_s": depth.oldest_s,
                "kinds": dict(depth.kinds),
                "readers": [
                    {"name": one.name, "rows": one.rows, "oldest_s": one.oldest_s, "refused": one.refused}
                    for one in depth.readers
                ],
                "unconfirmed": depth.unconfirmed,
                "replaying": depth.replaying,
                "delivered": {"verdicts": history.verdicts, "first": history.first, "last": history.last},
                "refused": [
                    {
                        "place": one.place,
                        "row": one.seq,
                        "attempts": one.attempts,
                        "reason": stored(one.reason),
                    }
                    for one in refused
                ],
            }
        )
        return
    lines = [
        f"{path}",
        f"{depth.rows} rows, {depth.bytes} bytes, oldest {depth.oldest_s:.1f} s",
        *(f"  {kind:8} {rows}" for kind, rows in depth.kinds.items()),
        *(
            f"for {one.name}: {one.rows} rows, oldest {one.oldest_s:.1f} s, {one.refused} refused"
            for one in depth.readers
        ),
        f"  {depth.unconfirmed} verdicts not yet confirmed by the MES, {depth.replaying} to be said again",
    ]
    if history.verdicts:
        lines.append(f"{history.verdicts} delivered verdicts kept, {history.first} to {history.last}")
    lines += [f"refused by {one.place}, {one.attempts} times: row {one.seq}, {one.reason}" for one in refused]
    for line in lines:
        say(line)


@app.command(epilog=exits())
def export(
    config: Config,
    first: First = 1,
    last: Annotated[
        int | None,
        typer.Option("--to", min=1, max=MAX_SEQUENCE, help="last sequence; default: the newest"),
    ] = None,
) -> None:
    """Delivered verdicts as JSON Lines, by sequence."""
    from agent.outbox.history import delivered_verdicts
    from agent.settings import settings

    path = settings.load(config).outbox.path
    for payload in delivered_verdicts(path, first, MAX_SEQUENCE if last is None else last):
        typer.echo(payload)


@app.command(epilog=exits("there are none"))
def replay(config: Config, first: First, last: Last) -> None:
    """Have the agent publish delivered verdicts again, flagged as replayed."""
    from agent.outbox.history import ask_again
    from agent.settings import settings

    path = settings.load(config).outbox.path
    queued = ask_again(path, first, last)
    say(f"{path}: {queued} verdicts will be said again")
    if not queued:
        raise typer.Exit(ExitCode.NOT_GOOD)


@app.command(epilog=exits("something was lost"))
def salvage(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a damaged outbox; it is only read")],
    into: Annotated[
        Path | None, typer.Option(help="the outbox to make; default: beside it, with .salvaged")
    ] = None,
) -> None:
    """Save what can be read of a damaged outbox into a fresh one.

    The agent does so by itself at its start. The fresh file may stand at outbox.path while no agent runs.
    """
    from agent.outbox.salvage import salvage_by_hand

    fresh = into or file.with_name(file.name + ".salvaged")
    done = salvage_by_hand(file, fresh)
    say(f"{fresh}: {done.words()}")
    if not done.is_whole:
        raise typer.Exit(ExitCode.NOT_GOOD)
