"""`plumbline calibrate`: the commands; what they do stands in `agent/teach/flat.py` and `scale.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.exit_codes import exits
from agent.cli.options import CameraName, Config
from agent.cli.terminal import finite, must_be_there, say

app = typer.Typer(no_args_is_help=True, help="Measure a camera's light, sensor and scale.", epilog=exits())

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

    from agent.clock import SystemClock
    from agent.settings import settings
    from agent.teach.flat import measure_flat
    from agent.teach.source import camera_of

    wanted = camera_of(settings.load(config), camera)
    file = out or wanted.flat_field.file or config.parent / "calibration" / f"{camera}.npz"
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
    from agent.settings import settings
    from agent.teach.scale import measure_scale
    from agent.teach.source import camera_of

    found = measure_scale(
        camera_of(settings.load(config), camera),
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


def _ask(please: str) -> None:
    """Wait for Enter where somebody can press it."""
    if sys.stdin.isatty():
        typer.prompt(f"{please}, then press Enter", default="", show_default=False)
