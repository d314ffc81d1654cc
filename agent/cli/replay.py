"""`plumbline replay`: one decision made once more, beside the record of then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import console, must_be_there, say, say_json

if TYPE_CHECKING:
    from agent.explain.document import Explanation
    from agent.replay.document import Replayed, Row, Value


def replay(
    result: Annotated[
        str, typer.Argument(metavar="RESULT_ID|FILE", help="id of a verdict, or a file with its JSON as sent")
    ],
    config: Config,
    engine: Annotated[
        str | None,
        typer.Option(help="such as openvino, onnxruntime or openvino-f32; default: the one that judged then"),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="bundle of then, where this station has it no more; default: found by its digest"),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="also tell by which evidence it differs from good parts")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make one decision once more, from the archive's pixels and by the bundle and rules of then.

    It changes nothing and gives way to a running line. Values of then and now stand in a table.

    With --json: schema, result_id, camera, created, engine_then, engine_now, digests, rows, notes,
    reproduced. With --explain: explained.
    """
    if bundle is not None:
        must_be_there(bundle, "--bundle", "give a bundle folder or .plumb file")

    from agent.replay.again import order_of
    from agent.replay.apart import explain_apart, replay_apart

    wanted = loaded(config)
    file = Path(result) if _is_file(result) else None
    order = order_of(
        wanted, result_id=None if file is not None else result, file=file, bundle=bundle, engine=engine
    )
    found = replay_apart(order)
    why = None
    if explain:
        why = explain_apart(order_of(wanted, result_id=found.result_id, bundle=bundle, task="explain"))
    if as_json:
        told = found.model_dump(mode="json", by_alias=True)
        say_json(told if why is None else {**told, "explained": why.model_dump(mode="json", by_alias=True)})
    else:
        _tell(found)
        if why is not None:
            _tell_why(why)
    if not found.reproduced:
        raise typer.Exit(ExitCode.NOT_GOOD)


def _is_file(result: str) -> bool:
    """An id has no dot and no slash; whatever else is said of a path is said when it is read."""
    return "/" in result or "." in result or Path(result).exists()


def _tell(found: Replayed) -> None:
    from rich.table import Table

    from agent.foreign import shown

    say(f"{found.result_id}: camera {found.camera}, {found.created}")
    table = Table("", "then", "now", "difference", "allowed", "")
    table.add_row("engine", shown(found.engine_then), shown(found.engine_now), "", "", "")
    for one in found.digests:
        used = "not here" if one.used is None else one.used[:12]
        in_force = one.in_force is not None and one.in_force != one.used
        serves = f"; {one.in_force[:12]} in force now" if in_force and one.in_force else ""
        table.add_row(one.what, shown(one.then[:12]), f"{used}{serves}", "", "", _word(one.is_same))
    for row in found.rows:
        table.add_row(*map(shown, _cells(row)))
    console().print(table)
    for note in found.notes:
        say(f"note: {note}")
    say("reproduced" if found.reproduced else "not reproduced")


def _tell_why(why: Explanation) -> None:
    from rich.table import Table

    for place in why.places:
        which = "strongest place" if place.index is None else f"defect {place.index}"
        say(f"{which}, x {place.peak_px[0]}, y {place.peak_px[1]}: {place.sentence}")
        table = Table("evidence", "at the peak", "over the defect", "part of the map", "good parts")
        for one in place.kinds:
            rarity = one.rarity or "not measured"
            table.add_row(one.words, f"{one.peak:.1f}", f"{one.mean:.1f}", f"{one.part:.0%}", rarity)
        console().print(table)
    for note in why.notes:
        say(f"note: {note}")


def _cells(row: Row) -> tuple[str, ...]:
    difference = "" if row.difference is None else f"{row.difference:.1e}"
    allowed = "" if row.allowed is None else f"{row.allowed:.1e}"
    return row.what, _value(row.then), _value(row.now), difference, allowed, _word(row.is_same)


def _value(value: Value) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.6g}"


def _word(is_same: bool) -> str:
    return "" if is_same else "differs"
