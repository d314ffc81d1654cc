"""`plumbline marks`: what people said of verdicts, as list and data set; what a bundle makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import complain, console, must_be_there, say, say_json
from agent.errors import PlumblineError
from agent.foreign import shown

if TYPE_CHECKING:
    from agent.marks.file import Found
    from agent.settings.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="What people said of verdicts: list, add, export, and what another bundle makes of it.",
    epilog=exits("see each command"),
)
CameraOf = Annotated[str | None, typer.Option("--camera", help="only of this camera; default: all")]
LabelOf = Annotated[str | None, typer.Option("--label", help="only with this label; default: all")]


@app.command("list", epilog=exits())
def list_(
    config: Config,
    camera: CameraOf = None,
    label: LabelOf = None,
    truth: Annotated[
        Literal["good", "defective"] | None, typer.Option(help="only parts that are so; default: all")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="also marks that a later one of the same result made void")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="so many of the newest")] = 100,
    as_json: Json = False,
) -> None:
    """The newest marks, one a result; works beside a running agent.

    With --json: path, marks, damaged.
    """
    from agent.marks.file import Wanted

    wanted = loaded(config)
    asked = Wanted(camera=camera, label=label, truth=truth, history=history, limit=limit)
    path, found = _found(wanted, asked)
    if as_json:
        marks = [one.model_dump(mode="json", by_alias=True) for one in found.marks]
        say_json({"path": shown(str(path)), "marks": marks, "damaged": found.damaged})
        return
    for one in found.marks:
        said = f"{one.created} {one.result_id} {one.camera} {one.verdict:9} {one.says:10}"
        say(f"{said} {one.truth or '-':9} {shown(one.label or '-')}  {shown(one.who)} by {one.way}")
    say(f"{path}: {len(found.marks)} marks")


@app.command(epilog=exits("the station refused it"))
def add(
    result_id: Annotated[str, typer.Argument(metavar="RESULT_ID", help="of the verdict")],
    says: Annotated[Literal["right", "wrong", "taken_back"], typer.Argument(help="of the verdict")],
    config: Config,
    label: Annotated[str | None, typer.Option(help="class of the defect; default: none")] = None,
    defect: Annotated[
        int | None, typer.Option(min=0, help="index of the verdict's defect that it is about; default: all")
    ] = None,
    who: Annotated[str | None, typer.Option(help="who says it, for the record; default: not told")] = None,
    as_json: Json = False,
) -> None:
    """Say of a verdict that it is right or wrong; asks the running station through its broker.

    With --json: mark, was, words.
    """
    from agent.cli.calibrate import asked

    given = {"label": label, "defect_index": defect, "who": who}
    args = {
        "result_id": result_id,
        "says": says,
        **{key: one for key, one in given.items() if one is not None},
    }
    data = asked(config, "mark", args)["data"]
    if as_json:
        say_json(data)
    else:
        say(shown(str(data["words"])))


@app.command(epilog=exits())
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new, empty, or an export of before")],
    config: Config,
    passes: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, help="add so many of the newest passes, which nobody marked, as good"
        ),
    ] = 0,
    camera: CameraOf = None,
    label: LabelOf = None,
    as_json: Json = False,
) -> None:
    """A data set in MVTec-AD's layout, which plumbline-lab teach takes; works beside a running agent.

    With --json: folder, files, masks, left_out.
    """
    from agent.clock import SystemClock
    from agent.marks.dataset import Source
    from agent.marks.dataset import export as exported
    from agent.marks.file import Wanted

    wanted = loaded(config)
    archive = _archive(wanted)
    _, found = _found(wanted, Wanted(camera=camera, label=label))
    if not found.marks and not passes:
        raise PlumblineError(
            "nobody has marked a result yet; mark some on the page, or give --passes for good parts alone"
        )
    source = Source(archive=archive, station=wanted.identity.station)
    going = exported(
        found.marks, source, folder.absolute(), SystemClock(), passes=passes, damaged=found.damaged
    )
    made = _shown(going, len(found.marks) + passes, quiet=as_json)
    if as_json:
        say_json(
            {
                "folder": shown(str(folder)),
                "files": dict(made.files),
                "masks": made.masks,
                "left_out": dict(made.left_out),
            }
        )
        return
    for name, count in sorted(made.files.items()):
        say(f"{name}: {count}")
    say(f"{shown(str(folder))}: {sum(made.files.values())} pictures, {made.masks} masks")
    for reason, count in made.left_out.items():
        say(f"left out: {count}: {reason}")
    if not any(name.startswith("train") for name in made.files):
        complain("plumbline: there is no good part to train on; add some with --passes")


@app.command(epilog=exits("results that were right would be wrong"))
def judge(
    bundle: Annotated[Path, typer.Option(help="bundle folder or .plumb file that may come into force")],
    config: Config,
    camera: CameraOf = None,
    label: LabelOf = None,
    as_json: Json = False,
) -> None:
    """Judge every marked result once more by another bundle, and tell what would change; nothing is changed.

    By the settings in force, beside a running agent. With --json: bundle, kept_right, mended, newly_wrong,
    still_wrong, undecided, not_judged, labels, results.
    """
    must_be_there(bundle, "--bundle", "give a bundle folder or .plumb file")

    from agent.clock import SystemClock
    from agent.marks.file import Wanted
    from agent.remote.proof.marked import counted, words
    from agent.replay.marked import by_bundle

    wanted = loaded(config)
    _, found = _found(wanted, Wanted(camera=camera, label=label))
    if not found.marks:
        raise PlumblineError("nobody has marked a result yet, so nothing can be told; mark some on the page")
    with by_bundle(wanted, bundle, found.marks, SystemClock()) as (sha256, going):
        again = [*_bar(going, len(found.marks), quiet=as_json)]
    totals = counted(again)
    judged = [one for one in again if one is not None]
    rows = _by_label(judged)
    if as_json:
        results = [
            {
                "result_id": one.mark.result_id,
                "says": one.mark.says,
                "label": one.mark.label,
                "then": one.mark.verdict,
                "now": one.verdict,
                "normalized": one.normalized,
                "becomes": one.becomes,
            }
            for one in judged
        ]
        say_json({"bundle": sha256, **totals.model_dump(mode="json"), "labels": rows, "results": results})
    else:
        _table(rows)
        for one in judged:
            if one.becomes in ("newly_wrong", "undecided"):
                becomes = one.becomes.replace("_", " ")
                say(f"{becomes}: {one.mark.result_id}, {one.mark.verdict} -> {one.verdict}")
        say(words(totals))
        if totals.not_judged:
            say(f"{totals.not_judged} were not judged: no picture any more, no truth, or another recipe's")
    if totals.newly_wrong:
        raise typer.Exit(ExitCode.NOT_GOOD)


def _by_label(judged: list[Any]) -> list[dict[str, Any]]:
    from agent.remote.proof.marked import BECOMES

    labels = sorted({one.mark.label for one in judged}, key=lambda one: (one is None, one or ""))
    return [
        {
            "label": label,
            **{
                name: sum(one.becomes == name and one.mark.label == label for one in judged)
                for name in BECOMES
            },
        }
        for label in labels
    ]


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(shown(row["label"] or "without a label"), *(str(row[name]) for name in [*row][1:]))
    console().print(table)


def _found(wanted: Settings, asked: Any) -> tuple[Path, Found]:
    from agent.marks.read import newest, place

    path = place(wanted.outbox.path)
    found = newest(path, asked)
    if found.damaged:
        complain(f"plumbline: {path}: {found.damaged} marks are not what was written, and are passed over")
    return path, found


def _archive(wanted: Settings) -> Path:
    if wanted.archive.folder is None:
        raise PlumblineError("archive.folder is not set, so no pictures are kept; name a folder there")
    return wanted.archive.folder


def _shown(going: Any, of: int, *, quiet: bool) -> Any:
    """Do it, with a bar where somebody looks."""
    from rich.progress import Progress

    with Progress(console=console(), disable=quiet or not console().is_terminal) as bars:
        bar = bars.add_task("export", total=of)
        while True:
            try:
                bars.update(bar, completed=next(going))
            except StopIteration as ended:
                return ended.value


def _bar(going: Iterator[Any], of: int, *, quiet: bool) -> Iterator[Any]:
    from rich.progress import Progress

    with Progress(console=console(), disable=quiet or not console().is_terminal) as bars:
        yield from bars.track(going, total=of, description="judge")
