"""plumbline: the device's commands."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from agent import bundle_commands, calibrate_commands, engine_commands, logs, settings
from agent.clock import SystemClock
from agent.crew import Crew
from agent.errors import PlumblineError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
outbox_app = typer.Typer(no_args_is_help=True, help="Look at what waits for the broker and what it has had.")
app.add_typer(bundle_commands.app, name="bundle")
app.add_typer(outbox_app, name="outbox")
camera_app = typer.Typer(no_args_is_help=True, help="Look for cameras, or try one.")
app.add_typer(camera_app, name="camera")
app.add_typer(calibrate_commands.app, name="calibrate")
app.add_typer(engine_commands.app, name="engines")
console = Console()

Config = Annotated[Path, typer.Option("--config", "-c", help="settings, see config/agent.yaml")]
First = Annotated[int, typer.Option("--from", min=1, help="first sequence")]
Last = Annotated[int, typer.Option("--to", min=1, help="last sequence")]
MAX_SEQUENCE = (1 << 63) - 1


@app.command()
def run(config: Config) -> None:
    """The agent, until SIGTERM or Ctrl-C."""
    from agent.app import build

    wanted = settings.load(config)
    logs.configure(wanted.logs, station=wanted.identity.station)
    crew = Crew()
    _stop_on_signals(crew)
    build(wanted, SystemClock(), crew).run()


@app.command()
def demo(
    duration: Annotated[float | None, typer.Option(min=1, help="seconds; default: until Ctrl-C")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="the page's port; 0 takes a free one")] = 8080,
    bundle: Annotated[Path | None, typer.Option(help="another model than the sample")] = None,
    camera: Annotated[
        Literal["linescan-sim", "gige"], typer.Option(help="gige: the same cells over GigE Vision")
    ] = "linescan-sim",
) -> None:
    """The whole product on this machine: simulated line camera, embedded broker, page."""
    from agent import demo as parts
    from agent.demo_report import show

    crew = Crew()
    _stop_on_signals(crew)
    built = parts.build_demo(
        page_port=port,
        bundle=bundle or parts.SAMPLE_BUNDLE,
        over_gige=camera == "gige",
        clock=SystemClock(),
        crew=crew,
    )
    logs.configure(built.app.settings.logs)
    show(built, console, duration)


@app.command()
def validate(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """All problems of a settings file at once; exit 0 or 2."""
    wanted = settings.load(file)
    console.print(f"{file}: good, digest {wanted.digest()[:12]}", highlight=False, soft_wrap=True)


@app.command()
def inspect(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="picture files or folders")],
    bundle: Annotated[Path, typer.Option(help="bundle folder or .plumb file")],
    out: Annotated[Path | None, typer.Option(help="write heat maps and report.jsonl here")] = None,
) -> None:
    """Judge picture files; exit 1 when one could not be judged."""
    from agent.bundle import open_bundle
    from agent.engines import open_engine
    from agent.inspect_files import inspect_files, start_report, write
    from agent.line.taught import Taught

    opened = open_bundle(bundle)
    engine = open_engine(opened, settings.Engine())
    if out is not None:
        start_report(out)
    undecided = 0
    taught = Taught("pictures", bundle=opened.manifest.name, at_least=8)
    for one in inspect_files(images, opened, engine, SystemClock(), taught):
        record = one.record
        undecided += record["verdict"] not in ("pass", "fail")
        score = f"{record['score']['normalized']:7.1f}" if "score" in record else "      -"
        words = record.get("detail") or f"{len(record['defects'])} defects"
        console.print(
            f"{record['verdict']:9} {score}  {record['part_id']}  {words}", highlight=False, soft_wrap=True
        )
        if out is not None:
            write(one, out)
    if warning := taught.words():
        print(f"plumbline: {warning}", file=sys.stderr)
    if undecided:
        raise typer.Exit(1)


@app.command()
def bench(
    seconds: Annotated[float, typer.Option(min=1, help="for each measurement")] = 10.0,
    bundle: Annotated[Path | None, typer.Option(help="another model than the sample")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Stage latencies and throughput on this machine."""
    from agent import demo as parts
    from agent.bench import measure, show

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
    from agent import contract

    typer.echo(json.dumps(contract.printed(what), indent=2))


@app.command()
def simulate(
    hours: Annotated[float, typer.Option(min=0.001, help="of the day, from its first shift on")] = 24.0,
    speed: Annotated[float, typer.Option(min=1, help="how many times faster than life")] = 600.0,
    cameras: Annotated[int, typer.Option(min=1, max=16)] = 2,
    rate_hz: Annotated[float, typer.Option(min=0.001, help="parts a second at full speed")] = 1.0,
    seed: Annotated[int, typer.Option(help="the same day for the same seed")] = 0,
    host: Annotated[str, typer.Option(help="of the broker")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 1883,
    site: str = "site",
    area: str = "area",
    line: str = "line",
    station: Annotated[str, typer.Option(help="also the MQTT client id")] = "simulated",
    outbox: Annotated[
        Path | None, typer.Option(help="keep what waits, and go on from it; default: a temporary file")
    ] = None,
) -> None:
    """A day of verdicts for a broker or an MES, without camera or model; every one says is_simulated."""
    from agent.day import day
    from agent.simulate import simulate as play

    try:
        identity = settings.Identity(site=site, area=area, line=line, station=station)
    except ValidationError as error:
        first = error.errors()[0]
        raise PlumblineError(
            f"{first['loc'][0]}: {first['input']!r} cannot stand in a topic; use 1 to 64 of a-z, 0-9, _ and -"
        ) from error
    crew = Crew()
    _stop_on_signals(crew)
    names = tuple(f"cam{number}" for number in range(1, cameras + 1))
    with tempfile.TemporaryDirectory(prefix="plumbline-simulate-") as folder:
        path = outbox or Path(folder) / "outbox.sqlite3"
        played = play(
            day(seed, hours=hours, cameras=names, rate_hz=rate_hz),
            station=settings.Settings(
                identity=identity,
                mqtt=settings.Mqtt(host=host, port=port),
                outbox=settings.Outbox(path=path, min_free_bytes=0),
            ),
            hours=hours,
            speed=speed,
            seed=seed,
            clock=SystemClock(),
            stop=crew.stop,
        )
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(played.verdicts.items()))
    typer.echo(f"{sum(played.verdicts.values())} verdicts: {counts or 'none'}; {played.crops} crops")
    typer.echo(f"sequence {played.first_sequence} to {played.last_sequence}, {played.waiting} rows waiting")


@camera_app.command("list")
def camera_list() -> None:
    """GigE Vision and USB3 Vision cameras that answer a broadcast on any interface; exit 1 when none does."""
    from agent.cameras.probe import discover

    found = discover()
    table = Table("address", "Vendor-Model-Serial", "protocol", title=f"{len(found)} cameras")
    for one in found:
        table.add_row(one.address, one.device_id, one.protocol)
    console.print(table)
    if not found:
        raise typer.Exit(1)


@camera_app.command("test")
def camera_test(
    source: Annotated[
        str, typer.Argument(help="address, Vendor-Model-Serial, rtsp://..., /dev/videoN, file or folder")
    ],
) -> None:
    """Grab ten frames; rate and loss. Exit 0, or 1 when frames were missing or lost."""
    from agent.cameras.probe import TRIED_FRAMES, source_of, try_camera
    from agent.cameras.table import make_camera

    clock = SystemClock()
    tried = try_camera(make_camera("test", source_of(source), clock), clock)
    rate = "-" if tried.rate_hz is None else f"{tried.rate_hz:.1f} frames/s"
    size = "-" if tried.shape is None else " x ".join(map(str, tried.shape))
    lines = [
        f"{source}: {tried.frames} of {TRIED_FRAMES} frames, {tried.faults} faults, {rate}",
        f"lines x width x channels: {size}, {tried.bit_depth} bits; {tried.lines_lost} lines lost",
    ]
    if tried.stream is not None:
        moved = {name: count for name, count in tried.stream.statistics.items() if count}
        lines.append(f"socket: {tried.stream.socket}, {tried.stream.pixel_format}, {moved}")
        lines += [] if tried.stream.warning is None else [f"warning: {tried.stream.warning}"]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if not tried.is_good:
        raise typer.Exit(1)


@outbox_app.command("status")
def outbox_status(config: Config) -> None:
    """What waits, what can be replayed, and what was refused; works beside a running agent."""
    from agent.uplink.history import dead_letters, span
    from agent.uplink.outbox_file import read_depth

    path = settings.load(config).outbox.path
    depth, history = read_depth(path, clock=SystemClock()), span(path)
    lines = [
        f"{path}",
        f"{depth.rows} rows, {depth.bytes} bytes, oldest {depth.oldest_s:.1f} s",
        *(f"  {kind:8} {rows}" for kind, rows in depth.kinds.items()),
        f"  {depth.unconfirmed} verdicts not yet confirmed by the MES, {depth.replaying} to be said again",
    ]
    if history.verdicts:
        lines.append(f"{history.verdicts} delivered verdicts kept, {history.first} to {history.last}")
    lines += [
        f"refused by {one.place}, {one.attempts} times: row {one.seq}, {one.reason}"
        for one in dead_letters(path)
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


@outbox_app.command("export")
def outbox_export(config: Config, first: First = 1, last: Last = MAX_SEQUENCE) -> None:
    """Delivered verdicts as JSON Lines, by sequence."""
    from agent.uplink.history import delivered_verdicts

    for payload in delivered_verdicts(settings.load(config).outbox.path, first, last):
        typer.echo(payload)


@outbox_app.command("replay")
def outbox_replay(config: Config, first: First, last: Last) -> None:
    """Have the agent publish delivered verdicts again, flagged as replayed; exit 1 when there are none."""
    from agent.uplink.history import ask_again

    path = settings.load(config).outbox.path
    queued = ask_again(path, first, last)
    console.print(f"{path}: {queued} verdicts will be said again", highlight=False, soft_wrap=True)
    if not queued:
        raise typer.Exit(1)


def _stop_on_signals(crew: Crew) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: crew.stop.set())


def _complain(error: PlumblineError) -> None:
    """Problems of settings stand alone, as file:line: editors can then jump to them."""
    lines = error.problems if isinstance(error, settings.SettingsError) else [f"plumbline: {error}"]
    print("\n".join(lines), file=sys.stderr)


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
