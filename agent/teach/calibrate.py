"""`plumbline calibrate`: measure a camera's flat field and scale from its own pictures or from files."""

from __future__ import annotations

import getpass
import itertools
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.cameras.camera import EndOfStream
from agent.cameras.images import list_images, read_image
from agent.cameras.make import make_camera
from agent.clock import Clock, rfc3339
from agent.errors import PlumblineError
from agent.foreign import stored
from agent.messages import Floats, Frame, Samples
from agent.settings.camera import MAX_MEGAPIXELS
from agent.settings.camera import Camera as CameraSettings
from agent.settings.settings import Settings
from agent.track import calibration
from agent.track.calibration import Averages, Provenance
from agent.track.flatfield import FlatField, flat_field
from agent.track.pitch import Period, period_across, period_down

CAMERA = "camera"  # a source's name for the camera itself
SILENCE_S = 10.0

Pictures = Iterator[tuple[Samples, int]]  # with their bit depth


class CalibrationError(PlumblineError):
    """There is nothing to calibrate from; the message names source and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """A flat field that was measured and stored."""

    file: Path
    field: FlatField
    provenance: Provenance
    uneven_before: float  # standard deviation of the white target's columns over their mean
    uneven_after: float


def camera_of(settings: Settings, name: str) -> CameraSettings:
    """The settings of one camera; raises CalibrationError for a name that is not there."""
    for camera in settings.cameras:
        if camera.name == name:
            return camera
    names = ", ".join(camera.name for camera in settings.cameras)
    raise CalibrationError(f"--camera {name}: the settings have no such camera, there are {names}")


def calibrate_flat(
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
    somebody can cover the lens. Raises CameraError, ImageError, CalibrationError and FlatFieldError.
    """
    calibration.refuse_foreign(file, camera.name)
    low = None if dark is None else _averages(camera, dark, "cover the lens", lines, clock, ready)
    high, bit_depth = _averages(camera, white, "show the white target", lines, clock, ready)
    if low is not None and low[1] != bit_depth:
        raise CalibrationError(f"dark has {low[1]} bits, white {bit_depth}; take both with one pixel format")
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


def calibrate_scale(
    camera: CameraSettings, *, source: str, across: bool, down: bool, lines: int, clock: Clock
) -> tuple[Period | None, Period | None]:
    """The target's period across and down the web, in pixels and lines. Raises PitchError and as above.

    Down, the lines are taken as the camera gives them, one below the other.
    """
    images: list[Samples] = []
    depths: list[int] = []
    for image, depth in _pictures(camera, source, clock):
        images.append(image.copy())
        depths.append(depth)
        if source != CAMERA or sum(map(len, images)) >= lines:
            break
    if not images:
        raise CalibrationError(f"camera {camera.name}: its source ended without a picture; check it")
    picture, bit_depth = np.concatenate(images), depths[0]
    return (
        period_across(picture, bit_depth) if across else None,
        period_down(picture, bit_depth) if down else None,
    )


def _averages(
    camera: CameraSettings, source: str, please: str, lines: int, clock: Clock, ready: Callable[[str], None]
) -> tuple[Averages, int]:
    if source == CAMERA:
        ready(please)
    sums, depth = Averages(), 8
    for image, depth in _pictures(camera, source, clock):
        sums.add(image, depth)
        if source == CAMERA and sums.lines >= lines:
            break
    return sums, depth


def _pictures(camera: CameraSettings, source: str, clock: Clock) -> Pictures:
    """Raw pictures of the camera, without end, or of files."""
    if source != CAMERA:
        limit = getattr(camera.source, "max_megapixels", MAX_MEGAPIXELS)
        yield from ((read_image(file, limit), 8) for file in list_images(Path(source)))
        return
    grabber = make_camera(camera.name, camera.source, clock)
    grabber.open()
    try:
        for number in itertools.count():
            frame = _frame(grabber.grab(SILENCE_S), camera.name)
            if frame is None and number == 0:
                raise CalibrationError(
                    f"camera {camera.name}: no picture within {SILENCE_S:.0f} s; start the belt"
                )
            if frame is None:
                return
            yield frame.image, frame.bit_depth
    except EndOfStream:
        return
    finally:
        grabber.close()


def _frame(item: object, name: str) -> Frame | None:
    if item is None or isinstance(item, Frame):
        return item
    raise CalibrationError(f"camera {name}: a picture is damaged; calibrate when it runs without faults")


def _unevenness(image: Samples | Floats) -> float:
    columns = image.mean(axis=(0, 2))
    return float(columns.std() / columns.mean())
