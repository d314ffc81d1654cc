"""`plumbline inspect`: judge picture files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.terminal import complain, must_be_there, say, say_json


def inspect(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="picture files or folders")],
    bundle: Annotated[Path, typer.Option(help="bundle folder or .plumb file")],
    out: Annotated[
        Path | None,
        typer.Option(help="new or empty folder for heat maps and report.jsonl; default: none is written"),
    ] = None,
    max_megapixels: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1000, help="larger pictures are skipped, not decoded; default: 200, as of cameras"
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="also tell by which evidence each defect differs from good parts"),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="print JSON Lines, one for each picture as in report.jsonl, a problem as error, exit_code",
        ),
    ] = False,
) -> None:
    """Judge picture files.

    With --json: part_id, file, verdict, reason, score, defects, infer_ms, model, picture; of a skipped
    one detail. With --explain: evidence.
    """
    for path in images:
        must_be_there(path, "IMAGE", "give picture files, or folders of them")
    must_be_there(bundle, "--bundle", "give a bundle folder or .plumb file")

    from agent.bundle.bundle import open_bundle
    from agent.clock import SystemClock
    from agent.engines.open import open_engine
    from agent.explain.form import open_form
    from agent.line.taught import Taught
    from agent.replay.files import inspect_files, start_report, write
    from agent.settings import settings
    from agent.settings.camera import MAX_MEGAPIXELS

    opened = open_bundle(bundle)
    form = open_form(opened) if explain else None
    if out is not None:
        start_report(out)
    engine = open_engine(opened, settings.Engine())
    undecided = 0
    taught = Taught("pictures", bundle=opened.manifest.name, at_least=8)
    limit = MAX_MEGAPIXELS if max_megapixels is None else max_megapixels
    for one in inspect_files(
        images, opened, engine, SystemClock(), taught=taught, max_megapixels=limit, form=form
    ):
        record = one.record
        undecided += record["verdict"] not in ("pass", "fail")
        score = f"{record['score']['normalized']:7.1f}" if "score" in record else "      -"
        words = record.get("detail") or f"{len(record['defects'])} defects"
        if as_json:
            say_json(record, indent=None)
        else:
            say(f"{record['verdict']:9} {score}  {record['part_id']}  {words}")
            for place in record.get("evidence", ()):
                say(f"{'':19}x {place['peak_px'][0]}, y {place['peak_px'][1]}: {place['sentence']}")
        if out is not None:
            write(one, out)
    if provisional := opened.manifest.threshold.provisional_words():
        complain(f"plumbline: the bundle's threshold is {provisional}")
    if warning := taught.words():
        complain(f"plumbline: {warning}")
    if undecided:
        raise typer.Exit(ExitCode.NOT_GOOD)
