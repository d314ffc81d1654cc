"""The agent's camera on a simulated one, as tests use it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from agent.cameras.genicam.camera import GenicamCamera
from agent.clock import SystemClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import FeatureWrite, GenicamSource
from tests.gige.pixels import Grey
from tests.gige.webs import lines_at

PATIENCE_S = 60.0
QUIET_S = 0.5  # after which a belt that stands has nothing more to say


def source(address: str, *, features: Sequence[FeatureWrite] = (), **more: Any) -> GenicamSource:
    """A line camera with all chunks and jumbo packets."""
    chunks = {
        "line_counter_chunk": "ChunkCounterValue",
        "encoder_chunk": "ChunkEncoderValue",
        "line_status_chunk": "ChunkLineStatusAll",
    }
    return GenicamSource(
        address=address,
        features=(FeatureWrite(name="ChunkModeActive", value=True), *features),
        **{"scan": "line", "packet_size": 9000, **chunks, **more},
    )


@contextmanager
def opened(wanted: GenicamSource) -> Iterator[GenicamCamera]:
    camera = GenicamCamera("top", wanted, SystemClock())
    camera.open()
    try:
        yield camera
    finally:
        camera.close()


def frames(camera: GenicamCamera, count: int) -> list[Frame]:
    """The next ones; fails when they do not come."""
    got: list[Frame] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count:
        assert time.monotonic() < deadline, f"{len(got)} of {count} frames came"
        item = camera.grab(0.2)
        if item is not None:
            assert isinstance(item, Frame), item
            got.append(item)
    return got


def until_quiet(camera: GenicamCamera) -> list[Frame | FrameFault]:
    """Everything until nothing comes any more."""
    items: list[Frame | FrameFault] = []
    while (item := camera.grab(QUIET_S)) is not None:
        items.append(item)
    return items


def shows(frame: Frame, web: Grey) -> bool:
    """Whether a mono frame is the web's lines at its place, bit for bit."""
    positions = frame.first_line + np.arange(len(frame.image))
    return np.array_equal(frame.image[..., 0], lines_at(web, positions)[:, : frame.image.shape[1]])
