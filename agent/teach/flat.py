"""`plumbline calibrate flat`: measure a camera's flat field, from its own pictures or from files."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.clock import Clock, rfc3339
from agent.foreign import stored
from agent.messages import Floats, Samples
from agent.settings.camera import Camera as CameraSettings
from agent.teach.source import CAMERA, TeachError, pictures
from agent.track import calibration
from agent.track.calibration import Averages, Provenance
from agent.track.flatfield import FlatField, flat_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """A flat field that was measured and stored."""

    file: Path
    field: FlatField
    provenance: Provenance
    uneven_before: float  # standard deviation of the white target's columns over their mean
    uneven_after: float


def measure_flat(
    camera: CameraSettings,
    *,
    dark: str | None,
    white: str,
    lines: int,
    file: Path,
    exposure_us: float | None,
    clock: Clock,
    ready: Callable[[str], None],
) -> Flat:
    """Average dark and white, refuse what is of no use, and store the rest in `file`.

    Each source is `camera` or a picture file or folder; `ready` is called before the camera is read, so that
    somebody can cover the lens. Raises CameraError, ImageError, TeachError and FlatFieldError.
    """
    calibration.refuse_foreign(file, camera.name)
    low = None if dark is None else _averages(camera, dark, "cover the lens", lines, clock, ready)
    high, bit_depth = _averages(camera, white, "show the white target", lines, clock, ready)
    if low is not None and low[1] != bit_depth:
        raise TeachError(f"dark has {low[1]} bits, white {bit_depth}; take both with one pixel format")
    floor, bright = calibration.measured(None if low is None else low[0], high, bit_depth)
    provenance = Provenance(
        camera=camera.name,
        created=rfc3339(clock.utc_now()),
        author=f"{getpass.getuser()}@{platform.node()}",
        source=stored(f"dark {dark or 'none'}, white {white}"),
        bit_depth=bit_depth,
        dark_lines=0 if low is None else low[0].lines,
        white_lines=high.lines,
        exposure_us=exposure_us,
    )
    field = flat_field(
        floor,
        bright,
        max_gain=camera.flat_field.max_gain,
        bit_depth=bit_depth,
        source=f"camera {camera.name}",
    )
    calibration.save(file, floor, bright, provenance)
    raw = np.rint(bright)[np.newaxis].astype(np.uint8 if bit_depth == 8 else np.uint16)
    return Flat(
        file=file,
        field=field,
        provenance=provenance,
        uneven_before=_unevenness(bright[np.newaxis]),
        uneven_after=_unevenness(field.correct(raw, bit_depth)),
    )


def _averages(
    camera: CameraSettings, source: str, please: str, lines: int, clock: Clock, ready: Callable[[str], None]
) -> tuple[Averages, int]:
    if source == CAMERA:
        ready(please)
    sums, depth = Averages(), 8
    for image, depth in pictures(camera, source, clock):
        sums.add(image, depth)
        if source == CAMERA and sums.lines >= lines:
            break
    return sums, depth


def _unevenness(image: Samples | Floats) -> float:
    columns = image.mean(axis=(0, 2))
    return float(columns.std() / columns.mean())
