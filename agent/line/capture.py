"""From the camera's thread to the line: a bounded ring where every trigger keeps its place.

`run_camera` fills it from a camera, `Line` takes from it. In live mode the newest frame wins, in
accountable mode as many frames wait as the ring holds; a frame that is pushed out leaves a fault.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import structlog

from agent.cameras.backoff import backoff_s, wait_unless
from agent.cameras.camera import Camera, CameraError, EndOfStream
from agent.clock import Clock
from agent.messages import Frame, FrameFault
from agent.web.flatfield import FlatField
from agent.web.windows import Web

log = structlog.get_logger()

Item: TypeAlias = Frame | FrameFault
Report: TypeAlias = Callable[[Literal["streaming", "lost", "finished"], str], None]

FAULTS_WAITING = 4096
PATIENCE_S = 0.5  # between two looks at `stop`


@dataclass(slots=True)
class _Place:
    item: Item


class Capture:
    """The ring of one camera, for one thread that puts and one that takes."""

    def __init__(self, mode: Literal["live", "accountable"], ring_frames: int) -> None:
        self._ring_frames = 1 if mode == "live" else ring_frames
        self._places: deque[_Place] = deque()  # in the order of triggers
        self._frames: deque[_Place] = deque()  # those of them that still hold a frame
        self._changed = threading.Condition()
        self._closed = False
        self.received = 0
        self.overloaded = 0

    def put(self, item: Item, timeout_s: float | None = None) -> bool:
        """Add a trigger; the oldest waiting frame makes room for a frame.

        Waits only while more than FAULTS_WAITING faults wait; False when that outlasts the timeout.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout_s):
                return False
            self.received += 1
            place = _Place(item)
            self._places.append(place)
            if isinstance(item, Frame):
                self._frames.append(place)
                if len(self._frames) > self._ring_frames:
                    self._push_out(self._frames.popleft())
            self._changed.notify_all()
        return True

    def take(self, timeout_s: float) -> Item | None:
        """The oldest trigger; None when there was none within the timeout or there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._places or self._closed, timeout_s)
            if not self._places:
                return None
            place = self._places.popleft()
            if isinstance(place.item, Frame):
                self._frames.popleft()
            self._changed.notify_all()
            return place.item

    def close(self) -> None:
        """Say that no put will follow; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def is_finished(self) -> bool:
        """Closed, and everything taken."""
        with self._changed:
            return self._closed and not self._places

    def _has_room(self) -> bool:
        return len(self._places) - len(self._frames) <= FAULTS_WAITING

    def _push_out(self, place: _Place) -> None:
        assert isinstance(place.item, Frame)
        self.overloaded += 1
        place.item = without_picture(
            place.item,
            "overload",
            f"{self._ring_frames} newer frames came before the line was free; raise line.ring_frames,"
            " slow the camera down or use a faster engine",
        )
        log.debug("frame_pushed_out", camera=place.item.camera, frame=place.item.frame_id)


def run_camera(
    camera: Camera,
    web: Web,
    flat_field: FlatField | None,
    capture: Capture,
    stop: threading.Event,
    clock: Clock,
    report: Report,
) -> None:
    """Fill the ring until the source ends or `stop` is set; the open window is then closed.

    A camera that is lost is opened again for ever. Raises CameraError when it cannot be opened the
    first time and FlatFieldError when the correction does not fit its frames: settings are wrong then.
    """
    try:
        camera.open()
        report("streaming", "")
        first: tuple[int, ...] | None = None
        sides = slice(1, None) if web.window_lines else slice(None)  # blocks of lines may differ in height
        for item in _triggers(camera, stop, clock, report):
            if isinstance(item, Frame):
                first = first or item.image.shape
                item = item if item.image.shape[sides] == first[sides] else _unlike(item, first)
            if isinstance(item, Frame) and flat_field is not None:
                item = replace(item, image=flat_field.correct(item.image))
            _put_all(web.push(item), capture, stop)
        _put_all(web.flush(), capture, stop)
    finally:
        camera.close()
        capture.close()


def without_picture(frame: Frame, reason: str, detail: str) -> FrameFault:
    """What is left of a frame without its picture."""
    return FrameFault(
        camera=frame.camera,
        frame_id=frame.frame_id,
        reason=reason,
        detail=detail,
        captured_ns=frame.captured_ns,
        captured_at=frame.captured_at,
        first_line=frame.first_line,
        encoder=frame.encoder,
        lines_lost=frame.lines_lost,
        part_id=frame.part_id,
    )


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
