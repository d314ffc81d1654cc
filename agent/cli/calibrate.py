"""`plumbline calibrate`: the commands; what they do stands in `agent/teach/`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import CameraName, Config, Json, loaded
from agent.cli.terminal import complain, finite, must_be_there, say, say_json
from agent.errors import PlumblineError
from agent.foreign import stored

app = typer.Typer(
    no_args_is_help=True,
    help="Measure a camera's light, sensor and scale; set the threshold.",
    epilog=exits(),
)

TIMEOUT_S = 15.0  # for the station's answer
Lines = Annotated[int, typer.Option(min=1, max=10_000_000, help="to take from the camera")]


@app.command(epilog=exits())
def flat(
    config: Config,
    camera: CameraName,
    white: Annotated[
        str, typer.Option(help="even white target: picture file or folder, or camera")
    ] = "camera",
    dark: Annotated[str, typer.Option(help="covered lens: the same, or none")] = "camera",
    lines: Lines = 2048,
    exposure_us: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e9,
            callback=finite,
            help="as the camera has it; kept with the calibration; default: not told",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="default: flat_field.file, or calibration/CAMERA.npz beside the settings;"
            " only an earlier calibration of this camera is replaced"
        ),
    ] = None,
) -> None:
    """Flat field from dark and white frames; stop the agent first when it has the camera."""
    must_be_there(white, "--white", "give pictures, or camera", words=("camera",))
    must_be_there(dark, "--dark", "give pictures, or camera or none", words=("camera", "none"))

    from agent.cameras.images import left_out
    from agent.clock import SystemClock
    from agent.teach.flat import measure_flat
    from agent.teach.source import camera_of

    wanted = camera_of(loaded(config), camera)
    file = out or wanted.flat_field.file or config.parent / "calibration" / f"{camera}.npz"
    for words in filter(None, (left_out(Path(one)) for one in (white, dark))):
        complain(f"plumbline: {words}")
    measured = measure_flat(
        wanted,
        dark=None if dark == "none" else dark,
        white=white,
        lines=lines,
        file=file,
        exposure_us=exposure_us,
        clock=SystemClock(),
        ready=_ask,
    )
    gain = measured.field.gain[0]
    say(
        f"{file}: {len(gain)} columns of {measured.provenance.bit_depth} bits from"
        f" {measured.provenance.dark_lines} dark and {measured.provenance.white_lines} white lines;"
        f" gain {gain.min():.2f} to {gain.max():.2f},"
        f" {measured.field.dead.size} dead columns; unevenness {measured.uneven_before:.2%} before,"
        f" {measured.uneven_after:.2%} after"
    )
    if wanted.flat_field.file is None or wanted.flat_field.file.resolve() != file.resolve():
        say(f"to use it, set in camera {camera}:  flat_field: {{file: {file.resolve()}}}")


@app.command(epilog=exits())
def scale(
    config: Config,
    camera: CameraName,
    pitch_mm: Annotated[
        float,
        typer.Option(min=0.001, max=10_000, callback=finite, help="one dark and one light stripe together"),
    ],
    source: Annotated[str, typer.Option(help="picture of the target, or camera")] = "camera",
    direction: Annotated[Literal["across", "down", "both"], typer.Option(help="of the web")] = "both",
    lines: Lines = 2048,
) -> None:
    """Millimetres per pixel and per line from a stripe or checker target of known pitch."""
    must_be_there(source, "--source", "give a picture, or camera", words=("camera",))

    from agent.clock import SystemClock
    from agent.teach.scale import measure_scale
    from agent.teach.source import camera_of

    found = measure_scale(
        camera_of(loaded(config), camera),
        source=source,
        across=direction != "down",
        down=direction != "across",
        lines=lines,
        clock=SystemClock(),
    )
    for key, unit, period in zip(("mm_per_px", "mm_per_line"), ("px", "lines"), found, strict=True):
        if period is not None:
            share = period.uncertainty_px / period.period_px
            say(
                f"{key}: {pitch_mm / period.period_px:.7g}"
                f"  # +- {share:.3%}, period {period.period_px:.3f} {unit}"
            )


@app.command(epilog=exits("the target cannot be promised, or the station did not take the threshold"))
def threshold(
    config: Config,
    target_frr: Annotated[
        float, typer.Option(help="false-reject rate to promise: of new good parts; 0.005 is one in 200")
    ] = 0.005,
    good: Annotated[
        Path | None,
        typer.Option(help="folder of good parts to judge now; default: good frames of the archive"),
    ] = None,
    camera: Annotated[str | None, typer.Option(help="only of this camera; default: all of them")] = None,
    frames: Annotated[
        int, typer.Option(min=1, max=100_000, help="so many of the archive's newest good ones at most")
    ] = 2000,
    results: Annotated[
        int, typer.Option(min=0, max=100_000, help="stored results to try the threshold on before")
    ] = 10_000,
    apply: Annotated[
        bool, typer.Option("--apply", help="set it at the running station, through its broker")
    ] = False,
    who: Annotated[str | None, typer.Option(help="with --apply: for the record; default: not told")] = None,
    as_json: Json = False,
) -> None:
    """The threshold for a target false-reject rate, what it promises, and what it would have changed.

    With --json: threshold, interval, target, rate, provisional, frames, worth, minutes, needed, needed_sure,
    missing, left_out, rejected, rejected_interval, groups, tail, words, refused, what_if, applied, answer.
    """
    if good is not None:
        must_be_there(good, "--good", "give a folder of pictures of good parts")

    from agent.remote.commands import what_if
    from agent.teach import scores
    from agent.teach.threshold import check_target, promise
    from agent.teach.weighing import told

    check_target(target_frr)
    wanted = loaded(config)
    onto = asked(config, "in_force", {})["data"]["settings"] if apply else None
    stored_results = None if wanted.archive.folder is None else scores.archive_of(wanted.archive)
    if good is not None:
        found = _judged(good, wanted)
    else:
        found = scores.of_archive(stored_results or scores.archive_of(wanted.archive), camera, frames)
    promised = promise(found.parts, target_frr)
    heads = () if stored_results is None else stored_results.results(camera, results)
    would = what_if.what_if([one.head for one in heads if one is not None], promised.threshold)
    answer = None
    if apply and promised.is_promised:
        args = {"threshold": promised.threshold, "onto": onto, **({} if who is None else {"who": who})}
        answer = asked(config, "threshold", args)
    content = {
        **told(promised),
        "refused": [stored(one) for one in found.refused],
        "what_if": what_if.data(would),
        "applied": answer is not None,
        "answer": answer,
    }
    if as_json:
        say_json(content)
    else:
        for line in (
            *found.refused,
            *told(promised)["words"],
            *what_if.words(would, wanted.archive.pass_share),
        ):  # type: ignore[misc]
            say(str(line))
        if answer is not None:
            say(f"set: {answer['message']}")
    if not promised.is_promised:
        if apply:
            complain(
                "plumbline: not set, since it does not promise the target; give more parts, or another target"
            )
        raise typer.Exit(ExitCode.NOT_GOOD)


def _judged(folder: Path, wanted: Any) -> Any:
    from agent.bundle.bundle import open_bundle
    from agent.cameras.images import left_out, list_images
    from agent.clock import SystemClock
    from agent.engines.open import open_engine
    from agent.teach import scores

    if words := left_out(folder):
        complain(f"plumbline: {words}")
    bundle = open_bundle(wanted.bundle)
    engine = open_engine(bundle, wanted.engine)
    try:
        return scores.of_files(list_images(folder), bundle.manifest.input, engine, SystemClock())
    finally:
        engine.close()


def asked(config: Path, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """What the running station answers. Raises PlumblineError where it refuses."""
    from agent.cli.command import ask_station

    answer = ask_station(config, name, args, TIMEOUT_S, lambda under_way: None)
    if answer["code"] != 200:
        raise PlumblineError(f"the station refused {name}: {answer['code']} {answer.get('message')}")
    return answer


def _ask(please: str) -> None:
    """Wait for Enter where somebody can press it."""
    if sys.stdin.isatty():
        typer.prompt(f"{please}, then press Enter", default="", show_default=False)
