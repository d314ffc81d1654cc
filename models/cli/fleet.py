"""`plumbline-lab fleet`: what many stations are to be, said in waves that stop by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import Json
from agent.cli.terminal import complain, console, is_plain, say_json
from agent.foreign import shown
from models.cli.options import say

if TYPE_CHECKING:
    from models.fleet.begin import Wish
    from models.fleet.documents import Content
    from models.fleet.hall import Hall
    from models.fleet.office import Room
    from models.fleet.plan import Kind, Record
    from models.fleet.wire import Wire

app = typer.Typer(
    no_args_is_help=True,
    help="Tell many stations what to be: settings and bundles, signed, in waves that stop by themselves.",
    epilog=exits("see each command"),
)
STOPPED = "it was stopped, or somebody has not taken it"
Inventory = Annotated[
    Path, typer.Option("--inventory", "-i", help="the stations of the fleet, and its broker")
]
Keys = Annotated[
    list[Path], typer.Option("--key", help="Ed25519 private key in PEM to sign with; give it again for each")
]
To = Annotated[
    list[str],
    typer.Option("--to", help="all, group:NAME, or a station; give it again for each"),
]
AtOnce = Annotated[
    bool, typer.Option("--at-once", help="one document to each group, and no waves among its stations")
]
AboveReported = Annotated[
    bool, typer.Option("--above-reported", help="count on above the counters that stations tell of")
]
Serve = Annotated[
    Path | None,
    typer.Option(help="folder of bundles to hand out in pieces through the broker meanwhile; default: none"),
]


@app.command(epilog=exits(STOPPED))
def settings(
    patch: Annotated[Path, typer.Argument(metavar="PATCH", help="YAML with all that is to be different")],
    inventory: Inventory,
    to: To,
    key: Keys,
    at_once: AtOnce = False,
    above_reported: AboveReported = False,
    as_json: Json = False,
) -> None:
    """Have stations run with PATCH on top of their own files; what it does not name is as in these."""
    from models.fleet.documents import load_patch

    content = load_patch(patch)
    with _room(inventory, key, as_json=as_json) as room:
        wish = _wish(room, "settings", content, to, at_once=at_once, above_reported=above_reported)
        _begin(room, wish, None, as_json=as_json)


@app.command(epilog=exits(STOPPED))
def bundle(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle folder or .plumb file, signed")],
    inventory: Inventory,
    to: To,
    key: Keys,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="where stations get it: https://... or a folder there; again for each; default: none"
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="hand it out in pieces through the broker, as long as this runs")
    ] = False,
    boundary: Annotated[
        Literal["frame", "part"], typer.Option(help="between which the line changes")
    ] = "frame",
    at_once: AtOnce = False,
    above_reported: AboveReported = False,
    as_json: Json = False,
) -> None:
    """Have stations prove BUNDLE and serve with it."""
    from models.fleet.office import bundle_content

    with _room(inventory, key, as_json=as_json) as room:
        content, _ = bundle_content(
            path,
            source or [],
            room.trust,
            name=shown(str(room.inventory.trust)),
            is_served=serve,
            boundary=boundary,
        )
        wish = _wish(room, "bundle", content, to, at_once=at_once, above_reported=above_reported)
        _begin(room, wish, path.parent if serve else None, as_json=as_json)


@app.command(epilog=exits(STOPPED))
def resume(
    inventory: Inventory,
    key: Keys,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="go on although it was stopped; what failed so far is excused")
    ] = False,
    serve: Serve = None,
    as_json: Json = False,
) -> None:
    """Go on with the latest rollout where it was: after this program was killed, or a stop."""
    from models.fleet import office

    with _room(inventory, key, as_json=as_json) as room, _reached(room, serve) as (hall, wire):
        _end(office.resume(room, hall, wire, although_stopped=stopped), as_json=as_json)


@app.command(epilog=exits())
def stop(inventory: Inventory, key: Keys, as_json: Json = False) -> None:
    """Say nothing new any more, and leave the new document on no topic; who runs it keeps it."""
    from models.fleet import office

    with _room(inventory, key, as_json=as_json) as room, _reached(room, None) as (hall, wire):
        _tell(office.stop(room, hall, wire), as_json=as_json)


@app.command(epilog=exits("somebody has not taken it, or nobody here knows what it ran before"))
def back(inventory: Inventory, key: Keys, serve: Serve = None, as_json: Json = False) -> None:
    """Have everybody who was told by the latest rollout be what it was before."""
    from models.fleet import office

    with _room(inventory, key, as_json=as_json) as room, _reached(room, serve) as (hall, wire):
        record = office.back(room, hall, wire)
        _tell(record, as_json=as_json)
    left = [one.address for one in record.members if one.word is not None and one.returned != "applied"]
    if left:
        if not as_json:
            say([f"not known to be back: {', '.join(left)}"])
        raise typer.Exit(ExitCode.NOT_GOOD)


@app.command(epilog=exits())
def status(
    inventory: Inventory,
    once: Annotated[bool, typer.Option("--once", help="print it and end, on a terminal, too")] = False,
    as_json: Json = False,
) -> None:
    """Show what is active and what was attempted on each station, as it changes.

    With --json: stations and rollout.
    """
    from models.fleet.ledger import Ledger
    from models.fleet.table import as_json as document
    from models.fleet.table import drawn

    with _room(inventory, [], as_json=as_json, changes=False) as room, _reached(room, None) as (hall, wire):
        record = Ledger(folder=room.inventory.state).latest()
        if as_json:
            say_json(document(hall, record))
        elif once or is_plain():
            console().print(drawn(hall, record))
        else:
            _live(room, hall, wire)


@app.command(epilog=exits())
def serve(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="folder with bundles and .plumb files")],
    inventory: Inventory,
) -> None:
    """Hand bundles out in pieces through the broker, until Ctrl-C: for stations that return late."""
    from models.fleet.office import TURN_S

    with _room(inventory, [], as_json=False, changes=False) as room, _reached(room, folder) as (_, wire):
        say([f"{folder}: handed out at {room.inventory.mqtt.host}:{room.inventory.mqtt.port}"])
        while True:
            wire.turn(TURN_S)


@app.command(epilog=exits())
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder, such as one on a stick")],
    inventory: Inventory,
    to: To,
    key: Keys,
    patch: Annotated[
        Path | None, typer.Option("--settings", help="YAML as for fleet settings; default: none")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="bundle as for fleet bundle, copied there; default: none")
    ] = None,
    at_once: AtOnce = False,
) -> None:
    """Write the same signed documents, and the bundle, to a folder instead of the broker."""
    from models.fleet.export import exported

    if patch is None and bundle is None:
        raise typer.BadParameter("give --settings, --bundle, or both")
    with _room(inventory, key, as_json=False) as room:
        say(exported(room, folder, to, patch=patch, bundle=bundle, at_once=at_once))


@app.command("import", epilog=exits("a file there is no report"))
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder that stations reported to")],
    inventory: Inventory,
    as_json: Json = False,
) -> None:
    """Show what stations without a network reported to a folder."""
    from agent.clock import SystemClock
    from models.fleet.hall import Hall
    from models.fleet.inventory import load
    from models.fleet.stick import read_reports
    from models.fleet.table import as_json as document
    from models.fleet.table import drawn

    hall = Hall(inventory=load(inventory))
    brought = read_reports(folder, hall, SystemClock().utc_now().timestamp())
    if as_json:
        say_json({**document(hall, None), "unread": list(brought.unread)})
    else:
        console().print(drawn(hall, None))
        say([f"{brought.reports} of {len(hall.inventory.stations)} stations have reported", *brought.unread])
    if brought.unread:
        raise typer.Exit(ExitCode.NOT_GOOD)


@contextmanager
def _room(inventory: Path, keys: list[Path], *, as_json: bool, changes: bool = True) -> Iterator[Room]:
    """The office's folder is held by commands that change something."""
    from agent.clock import SystemClock
    from models.fleet.inventory import load
    from models.fleet.office import opened

    def tell(line: str) -> None:
        complain(line) if as_json else say([line])

    room = opened(load(inventory), keys, clock=SystemClock(), say=tell)
    if not changes:
        yield room
        return
    with room.ledger.held():
        try:
            yield room
        except KeyboardInterrupt:
            tell("interrupted: nothing new is said; go on with fleet resume, end it with fleet stop")
            raise


@contextmanager
def _reached(room: Room, serve: Path | None) -> Iterator[tuple[Hall, Wire]]:
    from models.fleet.chunks import ChunkServer, Shelf
    from models.fleet.office import connected

    server = None if serve is None else ChunkServer(Shelf(serve))
    with connected(room, None if server is None else server.hear) as found:
        yield found


def _wish(
    room: Room, kind: Kind, content: Content, to: list[str], *, at_once: bool, above_reported: bool
) -> Wish:
    from models.fleet.begin import Wish
    from models.fleet.inventory import groups_of, stations_of

    return Wish(
        kind=kind,
        content=content,
        targets=groups_of(room.inventory, to) if at_once else stations_of(room.inventory, to),
        terms=room.inventory.rollout,
        above_reported=above_reported,
    )


def _begin(room: Room, wish: Wish, serve: Path | None, *, as_json: bool) -> None:
    from models.fleet import office

    with _reached(room, serve) as (hall, wire):
        _end(office.begin(room, wish, hall, wire), as_json=as_json)


def _end(record: Record, *, as_json: bool) -> None:
    _tell(record, as_json=as_json)
    if record.state == "stopped":
        raise typer.Exit(ExitCode.NOT_GOOD)


def _tell(record: Record, *, as_json: bool) -> None:
    from models.fleet.table import rollout_json, summary

    if as_json:
        say_json(rollout_json(record))
    else:
        say(summary(record))


def _live(room: Room, hall: Hall, wire: Wire) -> None:
    from rich.live import Live

    from models.fleet.office import TURN_S
    from models.fleet.table import drawn

    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            live.update(drawn(hall, room.ledger.latest()), refresh=True)
            until_ns = room.clock.monotonic_ns() + 500_000_000
            while room.clock.monotonic_ns() < until_ns:
                wire.turn(TURN_S)
