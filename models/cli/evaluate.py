"""`plumbline-lab evaluate`: figures on the test split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.terminal import console
from agent.foreign import shown
from models.cli.options import LOADING, Data, say
from models.store import Place, place

if TYPE_CHECKING:
    from rich.table import Table

Columns = dict[str, dict[str, float | int | tuple[float, float] | None]]
LOST = "{} masks have no pixel left at the model's scale, and pixel figures miss these defects; first {}"
POOLED = "the column model pools the scores of {}"


def evaluate(
    model: Annotated[
        Place, typer.Argument(parser=place, metavar="RUN|BUNDLE", help="a run: path or URL; or a bundle")
    ],
    data: Data,
    product: Annotated[
        str | None,
        typer.Option(help="tell a teacher of several products which one these are; default: not told"),
    ] = None,
    yardstick: Annotated[
        bool,
        typer.Option(help="judge by a plain memory of good parts too, and say which of the two ranks better"),
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the figures into this file, as JSON; default: none")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="write curves and worst errors here; default: none")
    ] = None,
) -> None:
    """Figures on the test split."""
    from models.data import preflight
    from models.data.items import DataError
    from models.stages import stages_on

    preflight.need_model(model)
    preflight.need_product(model, product)
    preflight.need_writable_file(json_file, "--json")
    preflight.need_own_figures(json_file)
    preflight.need_writable_folder(report, "--report")
    preflight.need_own_report(report)
    with stages_on(console()) as stages:
        lines = preflight.preview_test_split(data, stages)
    say(lines)

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.judging import evaluate as run
            from models.judging.ablate import ablate
            from models.judging.report import write_evidence, write_report
            from models.judging.standing import on_test
            from models.training.train import STUDENT
        figures, judged = run.evaluate(model, data, product, stages)
        columns: Columns = {"model": figures.as_dict()}
        products = run.by_product(judged, figures.threshold, figures.promised_false_reject_rate)
        lost = run.vanished(judged)
        if report is not None:
            with stages.stage("drawing the report"):
                write_report(figures, judged, report)
            if (model / STUDENT).is_file():
                kinds = ablate(model, data, stages)
                console().print(_side_by_side({kind: one.as_dict() for kind, one in kinds.items()}))
                write_evidence(kinds, report)
        standing, without = None, None
        if yardstick:
            try:
                figures, remembered, built = run.evaluate_yardstick(model, data, stages=stages)
                left = run.remaining_in_unseen(model, data, product, stages)
            except DataError as error:  # a test split alone tells all but this
                without = error
            else:
                columns["model"]["remaining_contrast_unseen"] = left
                columns["yardstick"] = {**figures.as_dict(), "build_minutes": built.seconds / 60}
                standing = on_test(judged, remembered, built.yardstick.strides)
                if report is not None:
                    with stages.stage("drawing the yardstick's report"):
                        write_report(figures, remembered, report / "yardstick")
    own = {name: one.as_dict() for name, one in products.items() if one is not None}
    if products:
        say([POOLED.format(", ".join(products))])
        say([f"{name}: no figures of its own: good or bad pictures only" for name in products.keys() - own])
    if lost:
        say([LOST.format(len(lost), shown(str(lost[0].item.mask)))])
    console().print(_side_by_side({**columns, **{f"product {name}": one for name, one in own.items()}}))
    if without is not None:
        say([f"no memory of good parts to hold the model against: {without}"])
    if standing is not None:
        strides = ", ".join(map(str, standing.strides))
        say([f"the model {standing.words()}; the memory looks at strides {strides}"])
    if json_file is not None:
        content: dict[str, Any] = {**columns["model"]}
        if standing is not None:
            content |= {"yardstick": columns["yardstick"], "standing": standing.model_dump(mode="json")}
        if products:
            content |= {"pooled": list(products), "products": own}
        json_file.write_text(json.dumps(content, indent=2) + "\n")
    if report is not None:
        say([f"{report}: {', '.join(sorted(path.name for path in report.iterdir()))}"])


def _side_by_side(columns: Columns) -> Table:
    """A row for every figure that any column has."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("figure", *(Column(Text(shown(name))) for name in columns))
    for key in dict.fromkeys(key for column in columns.values() for key in column):
        values = [column.get(key) for column in columns.values()]
        table.add_row(
            key,
            *map(_cell, values),
        )
    return table


def _cell(value: float | int | tuple[float, float] | None) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(_cell, value))
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
