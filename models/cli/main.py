"""plumbline-lab: the workshop's commands."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from agent.bundle.bundle import Precision, open_bundle, refuse_existing
from agent.demo.cells import load_cells
from agent.errors import PlumblineError
from agent.foreign import shown
from models.data import preflight
from models.data.held import TARGET, preview
from models.stages import stages_on

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()

LOADING = "loading torch"
Columns = dict[str, dict[str, float | int | None]]
POOLED = "the column model pools the scores of {}"
LAYOUTS = "MVTec-AD layout, a manifest.csv, VisA's split csv, or a plain folder of good parts"
Data = Annotated[Path, typer.Option("--data", help=LAYOUTS)]
AllData = Annotated[
    list[Path], typer.Option("--data", help=f"{LAYOUTS}; give it again for each further product")
]
Out = Annotated[Path, typer.Option("--out", help="where to write")]


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="elpv: solar cells")],
    out: Out,
    kind: Annotated[Literal["mono", "poly"] | None, typer.Option(help="cells of one crystal only")] = None,
) -> None:
    """Write a public sample set in MVTec-AD layout."""
    if name != "elpv":
        raise typer.BadParameter(f"{name!r} is not a sample set; there is: elpv")
    counts: dict[str, int] = {}
    for cell in load_cells():
        if "/" not in cell.split:
            continue  # neither trained on nor judged
        if kind not in (None, cell.kind):
            continue
        folder = out / cell.split
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cell.image, folder / cell.image.name)
        counts[cell.split] = counts.get(cell.split, 0) + 1
    _say([f"{out}: " + ", ".join(f"{count} {split}" for split, count in counts.items())])


@app.command()
def train(
    method: Annotated[Literal["decodiff", "diffusionad", "glad", "diad"], typer.Argument()],
    data: AllData,
    out: Out,
    preset: Annotated[Literal["nano", "edge", "paper"], typer.Option()] = "edge",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    images: Annotated[
        int | None, typer.Option(min=1, help="training pictures; default: the preset's")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="folder of published weights, for the paper preset")
    ] = None,
) -> None:
    """Train a teacher on good parts; the same command resumes, and `torchrun` spreads it over GPUs."""
    preflight.need_folder(weights, "--weights")
    preflight.need_writable_folder(out, "--out")
    preflight.need_no_other(out, student=False)
    _say(preview(data))

    with stages_on(console) as stages:
        with stages.stage(LOADING):
            from models.training.train import train as run
        made = run(method, data, preset, out, seed=seed, images=images, weights=weights, stages=stages)
    _say([f"teacher: {made}"])


@app.command()
def distill(
    teachers: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="folders of one or several trained teachers")
    ],
    data: AllData,
    out: Out,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    images: Annotated[
        int | None, typer.Option(min=1, help="training pictures; default: the preset's")
    ] = None,
) -> None:
    """Teach the one-step student; the same command resumes."""
    for teacher in teachers:
        preflight.need_run(teacher, student=False)
    preflight.need_writable_folder(out, "--out")
    preflight.need_no_other(out, student=True)
    _say(preview(data))

    with stages_on(console) as stages:
        with stages.stage(LOADING):
            from models.student.distill import distill as run
        made = run(teachers, data, out, seed=seed, images=images, stages=stages)
    _say([f"student: {made}"])


@app.command()
def export(
    student: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a distilled student")],
    data: AllData,
    out: Out,
    name: Annotated[str, typer.Option(help="the bundle's name")] = "bundle",
    licence: Annotated[str, typer.Option(help="terms of the weights")] = "unspecified",
    target: Annotated[float, typer.Option(min=1e-6, max=0.5, help="target false-reject rate")] = TARGET,
    counter: Annotated[int, typer.Option(min=1, help="release number of this name")] = 1,
    key: Annotated[Path | None, typer.Option(help="Ed25519 private key in PEM to sign with")] = None,
    command: Annotated[
        list[str] | None, typer.Option(help="a command that made the model, for the record")
    ] = None,
) -> None:
    """Calibrate and write the bundle; refused when engines disagree."""
    preflight.need_run(student, student=True)
    preflight.need_key(key)
    preflight.need_writable_folder(out.parent, "--out")
    refuse_existing(out)
    _say(preview(data, target))

    with stages_on(console) as stages:
        with stages.stage(LOADING):
            from models.shipping.export import export as run
        bundle = run(
            student,
            data,
            out,
            name=name,
            licence=licence,
            commands=tuple(command or ()),
            target=target,
            counter=counter,
            key=key,
            stages=stages,
        )
    threshold = bundle.manifest.threshold
    words = threshold.provisional_words()
    kept = f", {words}" if words else ""
    _say([f"{out}: {bundle.manifest.name} {bundle.sha256[:12]}, threshold {threshold.raw:.4f}{kept}"])


@app.command()
def variants(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="an exported bundle; it stays as it is")],
    data: AllData,
    out: Out,
    precision: Annotated[
        list[str] | None, typer.Option(help="bf16, f16 or int8; give it again for each; default: all")
    ] = None,
    counter: Annotated[int | None, typer.Option(min=1, help="release number; default: the next")] = None,
    key: Annotated[Path | None, typer.Option(help="Ed25519 private key in PEM to sign with")] = None,
) -> None:
    """Write a bundle that has graphs and thresholds for other precisions, too."""
    precisions: tuple[Precision, ...] = get_args(Precision)
    for wanted in precision or ():
        if wanted not in precisions:
            raise typer.BadParameter(f"{wanted!r} is not a precision; there are: {', '.join(precisions)}")
    preflight.need_bundle(bundle)
    target = open_bundle(bundle).manifest.threshold.target_false_reject_rate
    preflight.need_key(key)
    preflight.need_writable_folder(out.parent, "--out")
    refuse_existing(out)
    _say(preview(data, target))

    chosen = [name for name in precisions if not precision or name in precision]
    with stages_on(console) as stages:
        with stages.stage(LOADING):
            from models.shipping.variants import add_variants
        made = add_variants(bundle, data, out, precisions=chosen, counter=counter, key=key, stages=stages)
    for name, one in (made.manifest.variants or {}).items():
        shift = one.threshold.raw / made.manifest.threshold.raw - 1
        _say([f"{out}: {name} {one.threshold.raw:.4f}, {shift:+.1%} of f32's threshold"])


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE")],
    data: Data,
    product: Annotated[
        str | None, typer.Option(help="tell a teacher of several products which one these are")
    ] = None,
    yardstick: Annotated[
        bool, typer.Option("--yardstick", help="judge by remembered good patches too, untrained")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    report: Annotated[Path | None, typer.Option(help="write curves and worst errors here")] = None,
) -> None:
    """Figures on the test split."""
    preflight.need_model(model)
    preflight.need_product(model, product)
    preflight.need_writable_file(json_file, "--json")
    preflight.need_writable_folder(report, "--report")
    with stages_on(console) as stages:
        lines = preflight.preview_test_split(data, stages)
    _say(lines)

    with stages_on(console) as stages:
        with stages.stage(LOADING):
            from models.judging import evaluate as run
            from models.judging.ablate import ablate
            from models.judging.report import write_evidence, write_report
            from models.training.train import STUDENT
        figures, judged = run.evaluate(model, data, product, stages)
        columns: Columns = {"model": figures.as_dict()}
        products = run.by_product(judged, figures.threshold)
        if report is not None:
            with stages.stage("drawing the report"):
                write_report(figures, judged, report)
            if (model / STUDENT).is_file():
                kinds = ablate(model, data, stages)
                console.print(_side_by_side({kind: one.as_dict() for kind, one in kinds.items()}))
                write_evidence(kinds, report)
        if yardstick:
            figures, judged, minutes = run.evaluate_yardstick(model, data, stages=stages)
            columns["yardstick"] = {**figures.as_dict(), "build_minutes": minutes}
            if report is not None:
                with stages.stage("drawing the yardstick's report"):
                    write_report(figures, judged, report / "yardstick")
    own = {name: one.as_dict() for name, one in products.items() if one is not None}
    if products:
        _say([POOLED.format(", ".join(products))])
        _say([f"{name}: no figures of its own: good or bad pictures only" for name in products.keys() - own])
    console.print(_side_by_side({**columns, **{f"product {name}": one for name, one in own.items()}}))
    if json_file is not None:
        content: dict[str, Any] = {**columns} if yardstick else {**columns["model"]}
        if products:
            content |= {"pooled": list(products), "products": own}
        json_file.write_text(json.dumps(content, indent=2) + "\n")
    if report is not None:
        _say([f"{report}: {', '.join(sorted(path.name for path in report.iterdir()))}"])


def _say(lines: Sequence[str]) -> None:
    """As they stand, once for all processes that `torchrun` has started."""
    if os.environ.get("RANK", "0") == "0":
        for line in lines:
            console.print(shown(line), markup=False, highlight=False, soft_wrap=True)


def _side_by_side(columns: Columns) -> Table:
    """A row for every figure that any column has."""
    table = Table("figure", *(Column(Text(shown(name))) for name in columns))
    for key in dict.fromkeys(key for column in columns.values() for key in column):
        values = [column.get(key) for column in columns.values()]
        table.add_row(
            key,
            *("-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in values),
        )
    return table


def main() -> None:
    """Entry point: a known problem is one line on stderr and exit code 2."""
    try:
        app()
    except PlumblineError as error:
        words = "\n".join(shown(line) for line in f"plumbline-lab: {error}".split("\n"))
        Console(stderr=True).print(words, style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
