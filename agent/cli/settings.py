"""`plumbline settings`: what a station runs by, what it was run by, and documents by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import NotGood, exits
from agent.cli.options import Config, Json
from agent.cli.terminal import say, say_json
from agent.errors import PlumblineError
from agent.foreign import shown, stored

if TYPE_CHECKING:
    from agent.remote.settings.store import SettingsStore, Snapshot

NEXT = "systemctl reload plumbline (or the next start) puts it in force"

app = typer.Typer(
    no_args_is_help=True,
    help="Look at what the station runs by, from its file and from afar, and go back.",
    epilog=exits("see each command"),
)


@app.command(epilog=exits())
def show(config: Config, as_json: Json = False) -> None:
    """The settings that are kept as good, and where they come from; logins are left out.

    With --json: snapshot, source, since, document, settings.
    """
    import yaml

    from agent.address import masked_values

    store = _kept(config)
    named, snapshot = store.named("current"), store.current()
    if snapshot is None:
        raise PlumblineError(
            f"{shown(str(store.folder / 'current'))}: names no snapshot that is whole and may be read; ask as"
            " the station's user, and see plumbline settings history"
        )
    data = masked_values(snapshot.data)
    if as_json:
        say_json({**_told(str(named), snapshot), "settings": data})
        return
    say(f"# {_line(str(named), snapshot)}")
    for line in yaml.safe_dump(data, sort_keys=False, allow_unicode=True).splitlines():
        say(shown(line))


@app.command(epilog=exits("a snapshot is damaged, or may not be read"))
def history(config: Config, as_json: Json = False) -> None:
    """What was in force before, oldest first; `revert` takes the first word of a line.

    With --json: folder, current, previous, snapshots.
    """
    store = _kept(config)
    current, previous = store.named("current"), store.named("previous")
    names = store.snapshots()
    found = [(name, one) for name in names if (one := store.read(name)) is not None]
    if as_json:
        say_json(
            {
                "folder": stored(str(store.folder)),
                "current": current,
                "previous": previous,
                "snapshots": [_told(name, one) for name, one in found],
            }
        )
    else:
        for name, one in found:
            mark = {current: "  in force", previous: "  before"}.get(name, "")
            say(f"{_line(name, one)}{mark}")
    if len(found) < len(names):
        raise NotGood(
            f"{shown(str(store.folder))}: {len(names) - len(found)} of {len(names)} snapshots are damaged or"
            " may not be read; ask as the station's user"
        )


@app.command(epilog=exits())
def revert(
    config: Config,
    snapshot: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="first digits of it; default: what was before")
    ] = None,
) -> None:
    """Have settings that were in force before put in force again, as an edit made on the station."""
    store = _kept(config)
    named = [name for name in store.snapshots() if name.startswith(snapshot or "")]
    if snapshot is None:
        named = [name for name in [store.named("previous")] if name is not None]
    if snapshot is None and not named:
        raise PlumblineError("nothing was in force before these settings; see plumbline settings history")
    if len(named) != 1 or store.read(named[0]) is None:
        raise PlumblineError(
            f"{shown(snapshot or 'previous')}: {len(named)} are meant; see plumbline settings history"
        )
    store.want_back(named[0])
    say(f"{named[0][:12]} is wanted back; {NEXT}")


@app.command(epilog=exits())
def changes(
    config: Config,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="so many of the newest")] = 50,
    as_json: Json = False,
) -> None:
    """Who changed what on the station, oldest first: from the page, by command, file or document.

    With --json: file, turned_out, changes.
    """
    from agent.remote.changes import NAME, kept, turned_out
    from agent.remote.settings.in_force import state_folder

    path = state_folder(config) / NAME
    found, gone = kept(path, limit)[::-1], turned_out(path)
    if as_json:
        told = [one.model_dump(mode="json") for one in found]
        say_json({"file": stored(str(path)), "turned_out": gone, "changes": told})
        return
    if gone:
        say(f"{gone} older ones made room for those that followed")
    for one in found:
        members = [f"{name} {one.before.get(name)} -> {value}" for name, value in one.after.items()]
        wanted = [f"{name} {value}" for name, value in one.wanted.items()]
        ended = "" if one.outcome == "done" else f", {one.outcome}"
        ended += f", after {one.unlisted} more like it" if one.unlisted else ""
        say(
            shown(
                f"{one.at}  {one.who} ({one.way})  {one.what}{ended}  {'; '.join(members or wanted)}".rstrip()
            )
        )


@app.command(epilog=exits())
def apply(
    config: Config,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a signed document, such as from a stick")],
) -> None:
    """Hand a signed document to the station, as its broker would; what it makes of it is in reported.json."""
    from agent.contract.desired import MAX_DOCUMENT_BYTES
    from agent.durable import replace_file
    from agent.remote.settings.desk import INBOX, REPORTED
    from agent.remote.settings.in_force import state_folder
    from agent.settings import bounded
    from agent.trust.envelope import SignatureError, parse

    try:
        envelope = bounded.read(file, max_bytes=MAX_DOCUMENT_BYTES)
        parse(envelope)
    except (bounded.UnreadableError, SignatureError) as error:
        raise PlumblineError(f"{shown(str(file))}: {error}; give a document that was signed") from error
    folder = state_folder(config)
    try:
        (folder / INBOX).mkdir(exist_ok=True)
        replace_file(folder / INBOX / f"{file.stem}.json", [envelope])
    except OSError as error:
        raise PlumblineError(
            f"{shown(str(folder / INBOX))}: {error.strerror}; run it as the station's user"
        ) from error
    say(f"handed over; what became of it is in {shown(str(folder / REPORTED))}")


def _kept(config: Path) -> SettingsStore:
    """With settings in it. Raises PlumblineError where nothing was ever kept, or may be read."""
    from agent.remote.settings.in_force import state_folder
    from agent.remote.settings.store import FOLDER, SettingsStore

    store = SettingsStore(folder=state_folder(config) / FOLDER)
    if store.snapshots():
        return store
    where = shown(str(store.folder))
    try:
        next(store.folder.iterdir(), None)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise PlumblineError(f"{where}: not read: {error.strerror}; ask as the station's user") from error
    raise PlumblineError(f"{where}: nothing is kept here yet; start the station once")


def _told(name: str, snapshot: Snapshot) -> dict[str, Any]:
    origin = snapshot.origin
    document = None
    if origin is not None:
        document = {
            "issuer": origin.issuer,
            "epoch": origin.epoch,
            "counter": origin.counter,
            "address": origin.address,
        }
    return {"snapshot": name, "source": snapshot.source, "since": snapshot.since, "document": document}


def _line(name: str, snapshot: Snapshot) -> str:
    origin = snapshot.origin
    said = "" if origin is None else f", document {origin.counter} of {origin.issuer} for {origin.address}"
    return f"{name[:12]}  {snapshot.since}  {snapshot.source}{said}"
