"""Where a measurement takes its pictures from: the camera itself, or picture files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from agent.cameras.camera import EndOfStream
from agent.cameras.images import list_images, read_image
from agent.cameras.make import make_camera
from agent.clock import Clock
from agent.errors import PlumblineError
from agent.messages import Frame, Samples
from agent.settings.camera import MAX_MEGAPIXELS
from agent.settings.camera import Camera as CameraSettings
from agent.settings.settings import Settings

CAMERA = "camera"  # a source's name for the camera itself
SILENCE_S = 10.0

Pictures = Iterator[tuple[Samples, int]]  # with their bit depth


class TeachError(PlumblineError):
    """There is nothing to measure from; the message names source and remedy."""


def camera_of(settings: Settings, name: str) -> CameraSettings:
    """The settings of one camera; raises TeachError for a name that is not there."""
    for camera in settings.cameras:
        if camera.name == name:
            return camera
    names = ", ".join(camera.name for camera in settings.cameras)
    raise TeachError(f"--camera {name}: the settings have no such camera, there are {names}")


def pictures(camera: CameraSettings, source: str, clock: Clock) -> Pictures:
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
                raise TeachError(f"camera {camera.name}: no picture within {SILENCE_S:.0f} s; start the belt")
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
    raise TeachError(f"camera {name}: a picture is damaged; measure when it runs without faults")
