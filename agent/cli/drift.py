"""`plumbline drift`: whether cameras still show what they showed, and what to do where a change is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.options import Config, Json, camera_names, loaded
from agent.cli.terminal import console, say, say_json
from agent.errors import PlumblineError

if TYPE_CHECKING:
    from agent.drift.files import References
    from agent.drift.reference import Reference

GOING_ON = ("light_changed", "picture_changed", "more_defects", "scores_moved")


def drift(
    config: Config,
    forget: Annotated[
        str | None,
        typer.Option(
            metavar="CAMERA",
            autocompletion=camera_names,
            help="forget its good parts: those from now on are, also beside a running agent; default: none",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """How pictures and scores stand to those of the first good parts; works beside a running agent.

    With --json: folder, forgotten, cameras, each with camera, recipe, since, good, fails, then_result_id,
    now.
    """
    from agent.drift.files import References, folder_of
    from agent.foreign import stored

    wanted = loaded(config)
    if forget is not None and forget not in [one.name for one in wanted.cameras]:
        known = ", ".join(one.name for one in wanted.cameras)
        raise PlumblineError(f"--forget {forget}: no camera of the settings has this name; there are {known}")
    references = References(folder=folder_of(wanted))
    there = references.all()
    gone = [one for one in there if one.camera == forget and references.forget(one.camera, one.recipe)]
    left = [one for one in there if one not in gone]
    views = [(one, references.now(one.camera, one.recipe)) for one in left]
    if as_json:
        say_json(
            {
                "folder": stored(str(references.folder)),
                "forgotten": [{"camera": one.camera, "recipe": one.recipe} for one in gone],
                "cameras": [_content(one, now) for one, now in views],
            }
        )
    else:
        _tell(references, forget, gone, views, wanted.health.drift_good_parts)
    if any(now is not None and now.get("state") in GOING_ON for _, now in views):
        raise typer.Exit(ExitCode.NOT_GOOD)


def _content(reference: Reference, now: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "camera": reference.camera,
        "recipe": reference.recipe,
        "since": reference.since,
        "good": reference.good,
        "fails": reference.fails,
        "then_result_id": reference.typical,
        "now": now,
    }


def _tell(
    references: References,
    forget: str | None,
    gone: list[Reference],
    views: list[tuple[Reference, dict[str, Any] | None]],
    good: int,
) -> None:
    from rich.table import Table

    from agent.foreign import shown

    if forget is not None:
        say(f"camera {forget}: forgot {len(gone)}; the next {good} good parts are learned from")
    if not views:
        say(f"{references.folder}: no camera has shown {good} good parts yet")
    for reference, now in views:
        state = "not told yet" if now is None else str(now.get("state"))
        say(
            f"camera {reference.camera}, recipe {reference.recipe}: {state.replace('_', ' ')};"
            f" {reference.good} good parts until {reference.since}"
        )
        numbers = [] if now is None else now.get("numbers", [])
        if numbers:
            table = Table("", "then", "now", "shift", "limit", "PSI", "")
            for one in numbers:
                cells = (one.get(name) for name in ("name", "then", "now", "shift", "limit", "psi"))
                table.add_row(*(shown(str(cell)) for cell in cells), "off" if one.get("is_off") else "")
            console().print(table)
        if now is not None and now.get("words"):
            say(str(now["words"]))
