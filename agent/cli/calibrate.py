"""plumbline calibrate: the commands; what they do stands in `agent/teach/calibrate.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.terminal import finite
from agent.clock import SystemClock
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import settings

app = typer.Typer(no_args_is_help=True, help="Measure a camera's light, sensor and scale.")

Config = Annotated[Path, typer.Option("--config", "-c", help="settings, see config/agent.yaml")]
CameraName = Annotated[str, typer.Option("--camera", help="its name in the settings")]
Lines = Annotated[int, typer.Option(min=1, max=10_000_000, help="to take from the camera")]


@app.command("flat")
def calibrate_flat(
    config: Config,
    camera: CameraName,
    white: Annotated[
        str, typer.Option(help="even white target: picture file or folder, or camera")
    ] = "camera",
    dark: Annotated[str, typer.Option(help="covered lens: the same, or none")] = "camera",
    lines: Lines = 2048,
    exposure_us: Annotated[
        float | None,
        typer.Option(min=0, max=1e9, callback=finite, help="as the camera has it; kept with the calibration"),
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
    _must_be_there(white, "--white", "camera")
    _must_be_there(dark, "--dark", "camera", "none")

    from agent.teach import calibrate

    wanted = calibrate.camera_of(settings.load(config), camera)
    file = out or wanted.flat_field.file or config.parent / "calibration" / f"{camera}.npz"
    flat = calibrate.calibrate_flat(
        wanted,
        dark=None if dark == "none" else dark,
        white=white,
        lines=lines,
        file=file,
        exposure_us=exposure_us,
        clock=SystemClock(),
        ready=_ask,
    )
    gain = flat.field.gain[0]
    typer.echo(
        f"{file}: {len(gain)} columns of {flat.provenance.bit_depth} bits from"
        f" {flat.provenance.dark_lines} dark and {flat.provenance.white_lines} white lines;"
        f" gain {gain.min():.2f} to {gain.max():.2f},"
        f" {flat.field.dead.size} dead columns; unevenness {flat.uneven_before:.2%} before,"
        f" {flat.uneven_after:.2%} after"
    )
    if wanted.flat_field.file is None or wanted.flat_field.file.resolve() != file.resolve():
        typer.echo(f"to use it, set in camera {camera}:  flat_field: {{file: {file.resolve()}}}")


@app.command("scale")
def calibrate_scale(
    config: Config,
    camera: CameraName,
    pitch_mm: Annotated[
        float,
        typer.Option(min=0.001, max=10_000, callback=finite, help="one dark and one light stripe together"),
    ],
    source: Annotated[str, typer.Option(help="picture of the target, or camera")] = "camera",
    direction: Annotated[Literal["across", "down", "both"], typer.Option()] = "both",
    lines: Lines = 2048,
) -> None:
    """Millimetres per pixel and per line from a stripe or checker target of known pitch."""
    _must_be_there(source, "--source", "camera")

    from agent.teach import calibrate

    found = calibrate.calibrate_scale(
        calibrate.camera_of(settings.load(config), camera),
        source=source,
        across=direction != "down",
        down=direction != "across",
        lines=lines,
        clock=SystemClock(),
    )
    for key, unit, period in zip(("mm_per_px", "mm_per_line"), ("px", "lines"), found, strict=True):
        if period is not None:
            share = period.uncertainty_px / period.period_px
            typer.echo(
                f"{key}: {pitch_mm / period.period_px:.7g}"
                f"  # +- {share:.3%}, period {period.period_px:.3f} {unit}"
            )


def _must_be_there(source: str, option: str, *words: str) -> None:
    if source not in words and not Path(source).exists():
        other = " or ".join(words)
        raise PlumblineError(f"{option} {shown(source)}: no such file or folder; give pictures, or {other}")


def _ask(please: str) -> None:
    """Wait for Enter where somebody can press it."""
    if sys.stdin.isatty():
        typer.prompt(f"{please}, then press Enter", default="", show_default=False)
