"""`plumbline labels`: label sets of this station; works beside a running agent."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import exits
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import complain, console, must_be_there, say, say_json
from agent.errors import PlumblineError

if TYPE_CHECKING:
    from agent.labels.label_set import LabelSet
    from agent.labels.learn import Learned

app = typer.Typer(
    no_args_is_help=True, help="Labels of defects, by the nearest labelled ones.", epilog=exits()
)

SAID_REFUSED = 5


@app.command(epilog=exits())
def learn(
    config: Config,
    recipe: Annotated[str, typer.Option(help="whose marks, and whose bundle")] = "default",
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="a folder LABEL/*.png, or MVTec-AD's layout with masks; default: the marks"
        ),
    ] = None,
    keep: Annotated[bool, typer.Option(help="--no-keep only shows what would be learned")] = True,
    as_json: Json = False,
) -> None:
    """Learn a label set, and show what it makes of each labelled defect by all others.

    It names no defect yet: the settings do that, by labels.set. With --json: sha256, kept, recipe, bundle,
    bundle_sha256, classes, limit, accuracy, confusion, left_out, refused.
    """
    if source is not None:
        must_be_there(source, "--from", "give a folder of folders, each named after a label")

    from agent.clock import SystemClock
    from agent.labels.learning import bundle_of, learned
    from agent.labels.shelf import shelf_of

    wanted = loaded(config)
    bundle = bundle_of(wanted, recipe)
    found, refused = learned(wanted, recipe, bundle, SystemClock(), source=source)
    if keep:
        shelf_of(wanted).put(found.labels)
    if as_json:
        say_json({**_content(found.labels), "kept": keep, **_measured(found), "refused": list(refused)})
        return
    _tell(found, refused)
    if keep:
        key = "labels.set" if recipe == "default" else f"labels of recipe {recipe}"
        say(f"Label set {found.labels.sha256} is kept; set {key} to it, and it names defects")


@app.command("list", epilog=exits())
def list_(config: Config, as_json: Json = False) -> None:
    """Every label set of the station, newest first. With --json: folder, in_settings, sets."""
    from agent.labels.shelf import shelf_of

    wanted = loaded(config)
    shelf = shelf_of(wanted)
    named = {wanted.labels.set, *(one.labels for one in wanted.recipes)} - {None}
    rows: list[dict[str, Any]] = []
    for sha256, written_s in shelf.all():
        try:
            content = _content(shelf.get(sha256))
        except PlumblineError as error:
            content = {"sha256": sha256, "problem": str(error)}
        written = datetime.fromtimestamp(written_s, timezone.utc).isoformat(timespec="seconds")
        rows.append({**content, "written": written, "in_settings": sha256 in named})
    if as_json:
        say_json({"folder": str(shelf.folder), "in_settings": sorted(map(str, named)), "sets": rows})
        return
    if not rows:
        say(f"{shelf.folder}: no label set was learned yet; `plumbline labels learn` makes one of the marks")
    for row in rows:
        told = row.get("problem") or ", ".join(f"{name} {count}" for name, count in row["classes"].items())
        use = "in the settings" if row["in_settings"] else "-"
        say(f"{row['sha256'][:12]}  {row['written']}  {use}  {told}")


@app.command(epilog=exits())
def show(
    config: Config,
    set_: Annotated[str, typer.Argument(metavar="SET", help="its SHA-256, or how that begins")],
    as_json: Json = False,
) -> None:
    """What one label set was learned from.

    With --json: sha256, recipe, bundle, bundle_sha256, classes, limit, sources.
    """
    from agent.labels.shelf import shelf_of

    shelf = shelf_of(loaded(config))
    found = [sha256 for sha256, _ in shelf.all() if sha256.startswith(set_)]
    if len(found) != 1:
        raise PlumblineError(
            f"{set_}: {len(found)} label sets begin so; `plumbline labels list` tells which there are"
        )
    labels = shelf.get(found[0])
    content = _content(labels)
    if as_json:
        say_json({**content, "sources": _sources(labels)})
        return
    say(
        f"{content['sha256']}: of recipe {content['recipe']}, for bundle {content['bundle']} "
        f"{content['bundle_sha256'][:12]}, unknown beyond {content['limit']:.3f}"
    )
    for name, sources in _sources(labels).items():
        say(f"{name}: {len(sources)}, of {', '.join(sources)}")


def _content(labels: LabelSet) -> dict[str, Any]:
    head = labels.head
    return {
        "sha256": labels.sha256,
        "recipe": head.recipe,
        "bundle": head.bundle,
        "bundle_sha256": head.bundle_sha256,
        "classes": labels.counts,
        "limit": head.limit,
    }


def _sources(labels: LabelSet) -> dict[str, list[str]]:
    head = labels.head
    return {
        name: [source for source, of in zip(head.sources, head.class_of, strict=True) if of == index]
        for index, name in enumerate(head.classes)
    }


def _measured(found: Learned) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy,
        "confusion": {label: dict(row) for label, row in found.confusion.items()},
        "left_out": dict(found.left_out),
    }


def _tell(found: Learned, refused: tuple[str, ...]) -> None:
    from rich.table import Table

    from agent.foreign import shown
    from agent.labels.label_set import LEAST, UNKNOWN

    names = [*found.confusion, UNKNOWN]
    table = Table("label", "defects", *(shown(one) for one in names), title="each by all others")
    for label, row in found.confusion.items():
        counts = (str(row.get(one, "")) for one in names)
        table.add_row(shown(label), str(found.labels.counts[label]), *counts)
    console().print(table)
    say(f"Named rightly by all others: {found.accuracy:.0%}, as the mean of {len(found.confusion)} classes")
    for name, count in found.left_out.items():
        say(f"Left out: {name} has {count} of the {LEAST} that are needed")
    for words in refused[:SAID_REFUSED]:
        complain(f"plumbline: {words}")
    if len(refused) > SAID_REFUSED:
        complain(f"plumbline: and {len(refused) - SAID_REFUSED} more")
