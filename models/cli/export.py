"""`plumbline-lab export`, `variants` and `explaining`: bundles for the device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from agent.cli.terminal import console
from models.cli.options import LAYOUTS, LOADING, AllData, Key, Out, say
from models.store import Place, place


def export(
    student: Annotated[
        Place, typer.Argument(parser=place, metavar="RUN", help="a distilled student: path or URL")
    ],
    data: AllData,
    out: Out,
    name: Annotated[str, typer.Option(help="the bundle's name")] = "bundle",
    licence: Annotated[str, typer.Option(help="terms of the weights")] = "unspecified",
    target: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=0.5,
            help="false-reject rate to promise, or be refused; default: 0.05, or what so few can",
        ),
    ] = None,
    counter: Annotated[int, typer.Option(min=1, help="release number of this name")] = 1,
    key: Key = None,
    accept_worse: Annotated[
        bool,
        typer.Option(
            "--accept-worse",
            help="write it where a plain memory of good parts ranks better, too; its manifest says so",
        ),
    ] = False,
    command: Annotated[
        list[str] | None, typer.Option(help="a command that made the model, for the record; default: none")
    ] = None,
) -> None:
    """Calibrate and write the bundle; refused when engines disagree."""
    from agent.bundle.bundle import refuse_existing
    from models.data import preflight
    from models.data.held import TARGET, need_promise, preview
    from models.stages import stages_on

    rate = TARGET if target is None else target
    preflight.need_run(student, student=True)
    preflight.need_key(key)
    preflight.need_writable_folder(out.parent, "--out")
    refuse_existing(out)
    say(preview(data, rate))
    if target is not None:
        need_promise(data, target)

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.shipping.export import export as run
        bundle = run(
            student,
            data,
            out,
            name=name,
            licence=licence,
            commands=tuple(command or ()),
            target=rate,
            counter=counter,
            key=key,
            accept_worse=accept_worse,
            stages=stages,
        )
    threshold = bundle.manifest.threshold
    words = threshold.provisional_words()
    kept = f", {words}" if words else ""
    say([f"{out}: {bundle.manifest.name} {bundle.sha256[:12]}, threshold {threshold.raw:.4f}{kept}"])
    if bundle.manifest.standing is not None:
        say([f"{out}: {bundle.manifest.standing.words()}"])


def variants(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="an exported bundle; it stays as it is")],
    data: AllData,
    out: Out,
    precision: Annotated[
        list[str] | None, typer.Option(help="bf16, f16 or int8; give it again for each; default: all")
    ] = None,
    counter: Annotated[int | None, typer.Option(min=1, help="release number; default: the next")] = None,
    key: Key = None,
) -> None:
    """Write a bundle that has graphs and thresholds for other precisions, too."""
    from agent.bundle.bundle import Precision, open_bundle, refuse_existing
    from models.data import preflight
    from models.data.held import preview
    from models.stages import stages_on

    precisions: tuple[Precision, ...] = get_args(Precision)
    for wanted in precision or ():
        if wanted not in precisions:
            raise typer.BadParameter(f"{wanted!r} is not a precision; there are: {', '.join(precisions)}")
    preflight.need_bundle(bundle)
    target = open_bundle(bundle).manifest.threshold.target_false_reject_rate
    preflight.need_key(key)
    preflight.need_writable_folder(out.parent, "--out")
    refuse_existing(out)
    say(preview(data, target))

    chosen = [name for name in precisions if not precision or name in precision]
    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from models.shipping.variants import add_variants
        made = add_variants(bundle, data, out, precisions=chosen, counter=counter, key=key, stages=stages)
    for name, one in (made.manifest.variants or {}).items():
        shift = one.threshold.raw / made.manifest.threshold.raw - 1
        say([f"{out}: {name} {one.threshold.raw:.4f}, {shift:+.1%} of f32's threshold"])


def explaining(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="an exported bundle; it stays as it is")],
    out: Out,
    data: Annotated[
        list[Path] | None,
        typer.Option(help=f"what it was exported with, for shares of good parts: {LAYOUTS}; default: none"),
    ] = None,
    counter: Annotated[int | None, typer.Option(min=1, help="release number; default: the next")] = None,
    key: Key = None,
) -> None:
    """Write a bundle that can say by which evidence a part differs from good ones; it judges as before."""
    from agent.bundle.bundle import refuse_existing
    from models.data import preflight
    from models.stages import stages_on

    preflight.need_bundle(bundle)
    preflight.need_key(key)
    preflight.need_writable_folder(out.parent, "--out")
    refuse_existing(out)

    with stages_on(console()) as stages:
        with stages.stage(LOADING):
            from agent.explain.form import read_good
            from models.shipping.explained import add_explanation
        made = add_explanation(bundle, out, data=data or (), counter=counter, key=key, stages=stages)
    frames = read_good(made).frames
    of_good = (
        f"evidence of {frames} good parts" if frames else "evidence in spreads; no good parts were given"
    )
    say([f"{out}: {made.manifest.name} {made.sha256[:12]}, {of_good}"])
