"""plumbline: the device's commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent import logs
from agent.address import masked_text
from agent.cli import archive as archive_commands
from agent.cli import bundle as bundle_commands
from agent.cli import calibrate as calibrate_commands
from agent.cli import camera as camera_commands
from agent.cli import engines as engine_commands
from agent.cli import simulate as simulate_command
from agent.cli.terminal import console, finite, must_be_there, say
from agent.clock import SystemClock
from agent.crew import Crew
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.outbox.mended import run_mended
from agent.settings import settings
from agent.settings.camera import MAX_MEGAPIXELS
from agent.settings.problems import dotted

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help=__doc__,
    pretty_exceptions_enable=False,  # they would print the values of variables, and those may be secrets
)
outbox_app = typer.Typer(no_args_is_help=True, help="Look at what waits for the broker and what it has had.")
app.add_typer(bundle_commands.app, name="bundle")
app.add_typer(outbox_app, name="outbox")
app.add_typer(archive_commands.app, name="archive")
app.add_typer(camera_commands.app, name="camera")
app.add_typer(calibrate_commands.app, name="calibrate")
app.add_typer(engine_commands.app, name="engines")
app.command("simulate")(simulate_command.simulate)

Config = Annotated[Path, typer.Option("--config", "-c", help="settings, see config/agent.yaml")]
MAX_SEQUENCE = (1 << 63) - 1
First = Annotated[int, typer.Option("--from", min=1, max=MAX_SEQUENCE, help="first sequence")]
Last = Annotated[int, typer.Option("--to", min=1, max=MAX_SEQUENCE, help="last sequence")]
MONTH_S = 31 * 86_400


@app.command()
def run(config: Config) -> None:
    """The agent, until SIGTERM or Ctrl-C."""
    from agent.app import build

    wanted = settings.load(config)
    logs.configure(wanted.logs, station=wanted.identity.station)
    run_mended(lambda crew: build(wanted, SystemClock(), crew).run(), Crew.stop_on_signals, SystemClock())


@app.command()
def demo(
    duration: Annotated[
        float | None, typer.Option(min=1, max=MONTH_S, callback=finite, help="seconds; default: until Ctrl-C")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="the page's port; 0 takes a free one")] = 8080,
    bundle: Annotated[Path | None, typer.Option(help="another model than the sample")] = None,
    camera: Annotated[
        Literal["linescan-sim", "gige"], typer.Option(help="gige: the same cells over GigE Vision")
    ] = "linescan-sim",
) -> None:
    """The whole product on this machine: simulated line camera, embedded broker, page."""
    from agent.demo import demo as parts
    from agent.demo.report import show

    crew = Crew()
    crew.stop_on_signals()
    built = parts.build_demo(
        page_port=port,
        bundle=bundle or parts.SAMPLE_BUNDLE,
        over_gige=camera == "gige",
        clock=SystemClock(),
        crew=crew,
    )
    logs.configure(built.logs)
    show(built, console, duration)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    files: Annotated[
        bool,
        typer.Option("--files/--no-files", help="look at the bundle, folders and secrets that it names, too"),
    ] = True,
) -> None:
    """All problems of a settings file at once, and of what it points to; exit 0 or 2."""
    wanted, places = settings.load_with_places(file)
    if files:
        from agent.doctor import references

        missing = [
            f"{places.of(keys)}: {dotted(keys)}: {words}" for keys, words in references.problems(wanted)
        ]
        if missing:
            raise settings.SettingsError(missing)
    unseen = "" if files else "; the files and folders that it names were not looked at"
    say(f"{file}: good, digest {wanted.digest()[:12]}{unseen}")


@app.command()
def inspect(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="picture files or folders")],
    bundle: Annotated[Path, typer.Option(help="bundle folder or .plumb file")],
    out: Annotated[
        Path | None, typer.Option(help="new or empty folder for heat maps and report.jsonl")
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option(min=0.01, max=1000, help="larger pictures are skipped, not decoded")
    ] = MAX_MEGAPIXELS,
) -> None:
    """Judge picture files; exit 1 when one could not be judged."""
    for path in images:
        must_be_there(path, "IMAGE", "give picture files, or folders of them")
    must_be_there(bundle, "--bundle", "give a bundle folder or .plumb file")

    from agent.bundle.bundle import open_bundle
    from agent.engines.open import open_engine
    from agent.line.taught import Taught
    from agent.replay.files import inspect_files, start_report, write

    if out is not None:
        start_report(out)
    opened = open_bundle(bundle)
    engine = open_engine(opened, settings.Engine())
    undecided = 0
    taught = Taught("pictures", bundle=opened.manifest.name, at_least=8)
    for one in inspect_files(
        images, opened, engine, SystemClock(), taught=taught, max_megapixels=max_megapixels
    ):
        record = one.record
        undecided += record["verdict"] not in ("pass", "fail")
        score = f"{record['score']['normalized']:7.1f}" if "score" in record else "      -"
        words = record.get("detail") or f"{len(record['defects'])} defects"
        say(f"{record['verdict']:9} {score}  {record['part_id']}  {words}")
        if out is not None:
            write(one, out)
    if provisional := opened.manifest.threshold.provisional_words():
        print(f"plumbline: the bundle's threshold is {provisional}", file=sys.stderr)
    if warning := taught.words():
        print(f"plumbline: {warning}", file=sys.stderr)
    if undecided:
        raise typer.Exit(1)


@app.command()
def bench(
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, callback=finite, help="for each measurement")
    ] = 10.0,
    bundle: Annotated[Path | None, typer.Option(help="another model than the sample")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Stage latencies and throughput on this machine."""
    from agent.demo import demo as parts
    from agent.replay.bench import measure, show

    figures = measure(bundle or parts.SAMPLE_BUNDLE, seconds, SystemClock())
    if json_out:
        typer.echo(json.dumps(figures, indent=2))
    else:
        show(figures, console)


@app.command()
def schema(
    what: Annotated[
        Literal["settings", "verdict", "event", "status", "metrics", "command", "asyncapi"], typer.Argument()
    ],
) -> None:
    """Print a contract: a JSON Schema, or the AsyncAPI document of the whole."""
    from agent.schemas.printed import printed

    typer.echo(json.dumps(printed(what), indent=2))


@outbox_app.command("status")
def outbox_status(config: Config) -> None:
    """What waits, what can be replayed, and what was refused; works beside a running agent."""
    from agent.outbox.file import read_depth
    from agent.outbox.history import dead_letters, span

    path = settings.load(config).outbox.path
    depth, history = read_depth(path, clock=SystemClock()), span(path)
    lines = [
        f"{path}",
        f"{depth.rows} rows, {depth.bytes} bytes, oldest {depth.oldest_s:.1f} s",
        *(f"  {kind:8} {rows}" for kind, rows in depth.kinds.items()),
        *(
            f"for {one.name}: {one.rows} rows, oldest {one.oldest_s:.1f} s, {one.refused} refused"
            for one in depth.readers
        ),
        f"  {depth.unconfirmed} verdicts not yet confirmed by the MES, {depth.replaying} to be said again",
    ]
    if history.verdicts:
        lines.append(f"{history.verdicts} delivered verdicts kept, {history.first} to {history.last}")
    lines += [
        f"refused by {one.place}, {one.attempts} times: row {one.seq}, {one.reason}"
        for one in dead_letters(path)
    ]
    for line in lines:
        say(line)


@outbox_app.command("export")
def outbox_export(config: Config, first: First = 1, last: Last = MAX_SEQUENCE) -> None:
    """Delivered verdicts as JSON Lines, by sequence."""
    from agent.outbox.history import delivered_verdicts

    for payload in delivered_verdicts(settings.load(config).outbox.path, first, last):
        typer.echo(payload)


@outbox_app.command("replay")
def outbox_replay(config: Config, first: First, last: Last) -> None:
    """Have the agent publish delivered verdicts again, flagged as replayed; exit 1 when there are none."""
    from agent.outbox.history import ask_again

    path = settings.load(config).outbox.path
    queued = ask_again(path, first, last)
    say(f"{path}: {queued} verdicts will be said again")
    if not queued:
        raise typer.Exit(1)


@outbox_app.command("salvage")
def outbox_salvage(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a damaged outbox; it is only read")],
    into: Annotated[
        Path | None, typer.Option(help="the outbox to make; default: beside it, with .salvaged")
    ] = None,
) -> None:
    """Save what can be read of a damaged outbox into a fresh one; exit 1 when something was lost.

    The agent does so by itself at its start. The fresh file may stand at outbox.path while no agent runs.
    """
    from agent.outbox.salvage import salvage_by_hand

    fresh = into or file.with_name(file.name + ".salvaged")
    done = salvage_by_hand(file, fresh)
    say(f"{fresh}: {done.words()}")
    if not done.is_whole:
        raise typer.Exit(1)


def _complain(error: PlumblineError) -> None:
    """Problems of settings stand alone, as file:line: editors can then jump to them."""
    lines = error.problems if isinstance(error, settings.SettingsError) else [f"plumbline: {error}"]
    print("\n".join(shown(masked_text(line)) for line in lines), file=sys.stderr)


def main() -> None:
    """Entry point: a known problem is printed without a trace, exit code 2."""
    logs.configure(settings.Logs(level="warning", format="console"))
    try:
        app()
    except PlumblineError as error:
        _complain(error)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
