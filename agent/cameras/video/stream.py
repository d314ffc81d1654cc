"""A live RTSP, HTTP or V4L2 source as a camera."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias, cast

import cv2
from cv2.typing import MatLike

from agent.address import connectable, masked
from agent.cameras.camera import CameraError, CameraMisconfigured
from agent.cameras.formats.described import Damaged
from agent.cameras.images import from_opencv
from agent.cameras.pace import Pace
from agent.cameras.video.mjpeg import Reader, checked
from agent.cameras.video.rtsp_probe import describe
from agent.clock import Clock
from agent.messages import Frame, FrameFault, Pixels
from agent.settings.camera import VideoSource

CLOSE_PATIENCE_S = 1.0
PROBE_S = 2.0

Ready: TypeAlias = "queue.Queue[Frame | FrameFault | CameraError]"


def is_live(url: str) -> bool:
    """Whether an address names a live source rather than a file."""
    return "://" in url or url.startswith("/dev/")


def connect_opencv(source: VideoSource) -> Reader:
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
        reader = cv2.VideoCapture(connectable(source.url), cv2.CAP_FFMPEG, timeouts)
        remedy = "check address, user and password, and that the camera is on"
    if not reader.isOpened():
        reader.release()
        if source.url.lower().startswith("rtsp://"):
            _raise_what_it_says(source)
        raise CameraError(f"{masked(source.url)}: no video within {source.open_timeout_s:g} s; {remedy}")
    return reader if source.url.startswith("/dev/") else checked(reader)


def _raise_what_it_says(source: VideoSource) -> None:
    """Raises where the server itself says why there is no video."""
    status = describe(connectable(source.url), min(PROBE_S, source.open_timeout_s))
    if status in (401, 403):
        raise CameraMisconfigured(
            f"{masked(source.url)}: refused user or password ({status}); set them in source.url,"
            " before the host and an @, with %-escapes for special characters"
        )
    if status is not None and status >= 400:
        raise CameraError(f"{masked(source.url)}: answers {status}; check the path in source.url")


class StreamCamera:
    """Its own thread reads, so that `grab` keeps its timeout whatever the network does.

    The first failed read loses the camera, because OpenCV never recovers a connection. So does a
    picture that took longer than the read timeout, or that waited so long to be taken: old pictures
    lie buffered behind it, which would be shown as now. `rate_hz` is a ceiling: pictures that come
    faster are no triggers.
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
        self._ready: Ready = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._frame_id = 0
        self._over_rate = 0

    def open(self) -> None:
        reader = self._connect(self._source)
        # New ones each time: a thread that hangs in an old connection keeps its own.
        self._ready, self._stop = queue.Queue(maxsize=1), threading.Event()
        self._over_rate = 0
        self._thread = threading.Thread(
            target=self._run, args=(reader, self._ready, self._stop), name=f"stream-{self._name}", daemon=True
        )
        self._thread.start()

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        try:
            item = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, CameraError):
            raise item
        return item

    def stats(self) -> dict[str, int]:
        """Pictures that came faster than `rate_hz`."""
        return {"over_rate": self._over_rate}

    def close(self) -> None:
        """Ends the thread; one that hangs in a read is left to end by the read's own timeout."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_PATIENCE_S)
            self._thread = None

    def _run(self, reader: Reader, ready: Ready, stop: threading.Event) -> None:
        try:
            why = self._stream(reader, ready, stop)
        except cv2.error as error:
            why = f"OpenCV failed: {error}"
        reader.release()
        _hand_over(
            CameraError(f"{masked(self._source.url)}: {why}; check the camera and its network"), ready, stop
        )

    def _stream(self, reader: Reader, ready: Ready, stop: threading.Event) -> str:
        """Hand over frames until the connection is of no more use; says why."""
        patience_ns = self._source.read_timeout_s * 1e9
        while not stop.is_set():
            asked_ns = self._clock.monotonic_ns()
            picture: MatLike | Damaged
            try:
                found, picture = reader.read()
            except Damaged as error:
                found, picture = True, error
            read_ns = self._clock.monotonic_ns()
            if not found:
                return "gives no more pictures"
            if read_ns - asked_ns > patience_ns:
                return f"stalled for more than {self._source.read_timeout_s:g} s"
            if not self._pace.wait(0.0):
                self._over_rate += 1
                continue
            _hand_over(self._trigger(picture, read_ns), ready, stop)
            if self._clock.monotonic_ns() - read_ns > patience_ns:
                return f"was not listened to for more than {self._source.read_timeout_s:g} s"
        return "closed"

    def _trigger(self, picture: MatLike | Damaged, read_ns: int) -> Frame | FrameFault:
        frame_id = self._frame_id
        self._frame_id += 1
        if isinstance(picture, Damaged):
            return FrameFault(
                camera=self._name,
                frame_id=frame_id,
                reason="camera_error",
                detail=f"{masked(self._source.url)}: a picture came damaged ({picture}); check the network",
                captured_ns=read_ns,
                captured_at=self._clock.utc_now(),
            )
        return Frame(
            camera=self._name,
            frame_id=frame_id,
            image=from_opencv(cast(Pixels, picture)),
            captured_ns=read_ns,
            captured_at=self._clock.utc_now(),
        )


def _hand_over(item: Frame | FrameFault | CameraError, ready: Ready, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            ready.put(item, timeout=CLOSE_PATIENCE_S / 10)
            return
        except queue.Full:
            continue
