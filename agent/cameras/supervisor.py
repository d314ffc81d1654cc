"""One camera's life: opened, read, lost and opened again, for ever.

`run_camera` is the thread between a camera and its ring.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

import structlog

from agent.cameras.backoff import backoff_s, wait_unless
from agent.cameras.camera import Camera, CameraError, EndOfStream
from agent.clock import Clock
from agent.line.capture import Capture, Item, without_picture
from agent.messages import Frame, FrameFault
from agent.web.track import Track

log = structlog.get_logger()

Report: TypeAlias = Callable[[Literal["streaming", "lost", "finished"], str], None]

PATIENCE_S = 0.5  # between two looks at `stop`


def run_camera(
    camera: Camera,
    track: Track,
    capture: Capture,
    stop: threading.Event,
    clock: Clock,
    report: Report,
) -> None:
    """Fill the ring until the source ends or `stop` is set; the open window is then closed.

    A camera that is lost is opened again for ever. Raises CameraError when it cannot be opened the
    first time, FlatFieldError or TrackError when its frames do not fit the settings of the web.
    """
    try:
        camera.open()
        report("streaming", "")
        first: tuple[int, ...] | None = None
        sides = slice(1, None) if track.joins_blocks else slice(None)  # blocks of lines may differ in height
        for item in _triggers(camera, stop, clock, report):
            if isinstance(item, Frame):
                first = first or item.image.shape
                item = item if item.image.shape[sides] == first[sides] else _unlike(item, first)
            _put_all(track.push(item), capture, stop)
        _put_all(track.flush(), capture, stop)
    finally:
        camera.close()
        capture.close()


def _triggers(camera: Camera, stop: threading.Event, clock: Clock, report: Report) -> Iterator[Item]:
    """What the camera grabs, through losses of the camera."""
    losses = 0
    while not stop.is_set():
        try:
            item = camera.grab(PATIENCE_S)
        except EndOfStream:
            report("finished", "the source has given all it had")
            return
        except CameraError as error:
            losses += 1
            log.warning("camera_lost", error=str(error), losses=losses)
            report("lost", str(error))
            _reopen(camera, stop, clock, report)
            continue
        if item is not None:
            yield item


def _reopen(camera: Camera, stop: threading.Event, clock: Clock, report: Report) -> None:
    rng = random.Random(clock.monotonic_ns())
    for attempt in itertools.count():
        camera.close()
        wait_unless(stop, backoff_s(attempt, rng), clock)
        if stop.is_set():
            return
        try:
            camera.open()
        except CameraError as error:
            log.debug("camera_still_lost", error=str(error), attempt=attempt)
            report("lost", str(error))
            continue
        log.info("camera_back", attempts=attempt + 1)
        report("streaming", "")
        return


def _unlike(frame: Frame, first: tuple[int, ...]) -> FrameFault:
    got, wanted = (" x ".join(map(str, shape)) for shape in (frame.image.shape, first))
    return without_picture(
        frame,
        "camera_error",
        f"frame of {got} (lines x width x channels), the first one was {wanted}; restore the camera's"
        " region and pixel format, or restart the agent",
    )


def _put_all(items: Iterable[Item], capture: Capture, stop: threading.Event) -> None:
    for item in items:
        while not capture.put(item, PATIENCE_S) and not stop.is_set():
            continue
