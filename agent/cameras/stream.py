"""A live RTSP, HTTP or V4L2 source as a camera, reopened for ever after its first good open."""

from __future__ import annotations

import itertools
import math
import os
import queue
import random
import re
import threading
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, cast

import cv2
import structlog
from cv2.typing import MatLike

from agent.cameras.backoff import SLICE_S, backoff_s, wait_unless
from agent.cameras.camera import CameraError
from agent.cameras.images import from_opencv
from agent.cameras.pace import Pace
from agent.clock import Clock
from agent.messages import Frame, Pixels
from agent.settings import VideoSource

log = structlog.get_logger()

State: TypeAlias = Literal["closed", "streaming", "lost"]


class Reader(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, MatLike]: ...

    def release(self) -> None: ...


def is_live(url: str) -> bool:
    """Whether an address names a live source rather than a file."""
    return "://" in url or url.startswith("/dev/")


def connect_opencv(source: VideoSource) -> cv2.VideoCapture:
    """A connection with both timeouts set; raises CameraError."""
    if source.url.startswith("/dev/"):
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(math.ceil(source.read_timeout_s)))
        reader = cv2.VideoCapture(source.url, cv2.CAP_V4L2)
        remedy = "check that the device exists and that this user is in the group video"
    else:
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, math.ceil(source.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, math.ceil(source.read_timeout_s * 1000)),
        ]
        reader = cv2.VideoCapture(source.url, cv2.CAP_FFMPEG, timeouts)
        remedy = "check address, user and password, and that the camera is on"
    if not reader.isOpened():
        reader.release()
        raise CameraError(f"{shown(source.url)}: no video within {source.open_timeout_s:g} s; {remedy}")
    return reader


def shown(url: str) -> str:
    """The address without the user and password it may hold."""
    return re.sub(r"//[^/]*@", "//***@", url)


class StreamCamera:
    """Its own thread reads, so that `grab` keeps its timeout whatever the network does.

    The first failed read ends a connection, because OpenCV never recovers one; the thread then backs
    off and connects again: `state` and `losses` say so. A picture that took longer than the read
    timeout, or that waited so long to be taken, means that old pictures lie buffered behind it: the
    connection is dropped rather than show as now what was then. `rate_hz` is a ceiling: pictures
    that come faster are no triggers.
    """

    def __init__(
        self,
        name: str,
        source: VideoSource,
        clock: Clock,
        connect: Callable[[VideoSource], Reader] = connect_opencv,
    ) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._connect = connect
        self._pace = Pace(source.rate_hz, clock)
        self._frames: queue.Queue[Frame] = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._frame_id = 0
        self.state: State = "closed"
        self.losses = 0

    def open(self) -> None:
        reader = self._connect(self._source)
        # New ones each time: a thread that hangs in an old connection keeps its own.
        self._frames, self._stop = queue.Queue(maxsize=1), threading.Event()
        self._failure = None
        self.state = "streaming"
        self._thread = threading.Thread(
            target=self._run,
            args=(reader, self._frames, self._stop),
            name=f"stream-{self._name}",
            daemon=True,
        )
        self._thread.start()

    def grab(self, timeout_s: float) -> Frame | None:
        try:
            return self._frames.get(timeout=timeout_s)
        except queue.Empty:
            if self._failure is not None:
                raise CameraError(
                    f"{shown(self._source.url)}: {self._failure!r}; reopen it"
                ) from self._failure
            return None

    def close(self) -> None:
        """Ends the thread; waits for a read or connect that is under way, at most its own timeout."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._source.open_timeout_s + self._source.read_timeout_s)
            self._thread = None
        self.state = "closed"

    def _run(self, reader: Reader, frames: queue.Queue[Frame], stop: threading.Event) -> None:
        connected: Reader | None = reader
        try:
            while connected is not None:
                reason = self._stream(connected, frames, stop)
                connected.release()
                connected = None if stop.is_set() else self._reconnect(reason, stop)
        except Exception as error:
            self._failure = error  # for `grab`, whose thread can act on it

    def _stream(self, reader: Reader, frames: queue.Queue[Frame], stop: threading.Event) -> str:
        """Hand over frames until the connection is of no more use; says why."""
        patience_ns = self._source.read_timeout_s * 1e9
        while not stop.is_set():
            asked_ns = self._clock.monotonic_ns()
            ok, picture = reader.read()
            read_ns = self._clock.monotonic_ns()
            if not ok:
                return "a read failed"
            if read_ns - asked_ns > patience_ns:
                return "a picture came after a stall"
            if not self._pace.wait(0.0):
                continue
            self._hand_over(self._frame(picture), frames, stop)
            if self._clock.monotonic_ns() - read_ns > patience_ns:
                return "frames were not taken in time"
        return "closed"

    def _hand_over(self, frame: Frame, frames: queue.Queue[Frame], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                return frames.put(frame, timeout=SLICE_S)
            except queue.Full:
                continue

    def _frame(self, picture: MatLike) -> Frame:
        frame = Frame(
            camera=self._name,
            frame_id=self._frame_id,
            image=from_opencv(cast(Pixels, picture)),
            captured_ns=self._clock.monotonic_ns(),
            captured_at=self._clock.utc_now(),
        )
        self._frame_id += 1
        return frame

    def _reconnect(self, reason: str, stop: threading.Event) -> Reader | None:
        """A new connection, tried for until there is one; None when stopped."""
        self.state = "lost"
        self.losses += 1
        log.warning("camera_lost", camera=self._name, reason=reason, losses=self.losses)
        rng = random.Random(self._clock.monotonic_ns())
        for attempt in itertools.count():
            wait_unless(stop, backoff_s(attempt, rng), self._clock)
            if stop.is_set():
                break
            try:
                reader = self._connect(self._source)
            except CameraError as error:
                log.debug("camera_still_lost", camera=self._name, attempt=attempt, error=str(error))
                continue
            self.state = "streaming"
            log.info("camera_back", camera=self._name, attempts=attempt + 1)
            return reader
        return None
