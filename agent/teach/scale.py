"""`plumbline calibrate scale`: measure a target's period, from the camera's pictures or from a file."""

from __future__ import annotations

import numpy as np

from agent.clock import Clock
from agent.messages import Samples
from agent.settings.camera import Camera as CameraSettings
from agent.teach.source import CAMERA, TeachError, pictures
from agent.track.pitch import Period, period_across, period_down


def measure_scale(
    camera: CameraSettings, *, source: str, across: bool, down: bool, lines: int, clock: Clock
) -> tuple[Period | None, Period | None]:
    """The target's period across and down the web, in pixels and lines. Raises PitchError and as above.

    Down, the lines are taken as the camera gives them, one below the other.
    """
    images: list[Samples] = []
    depths: list[int] = []
    for image, depth in pictures(camera, source, clock):
        images.append(image.copy())
        depths.append(depth)
        if source != CAMERA or sum(map(len, images)) >= lines:
            break
    if not images:
        raise TeachError(f"camera {camera.name}: its source ended without a picture; check it")
    picture, bit_depth = np.concatenate(images), depths[0]
    return (
        period_across(picture, bit_depth) if across else None,
        period_down(picture, bit_depth) if down else None,
    )
