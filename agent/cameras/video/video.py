"""A video file as a camera."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2

from agent.address import masked
from agent.cameras.camera import CameraError, EndOfStream, fault_now
from agent.cameras.formats.described import Damaged
from agent.cameras.images import from_opencv
from agent.cameras.pace import Pace
from agent.cameras.video.mjpeg import Reader, checked
from agent.clock import Clock
from agent.messages import Frame, FrameFault, Pixels
from agent.settings.camera import VideoSource


class VideoFileCamera:
    """Every picture of the file in order, always RGB; a rate of 0 is as fast as taken.

    A damaged picture is known in Motion JPEG only. OpenCV cannot tell a damaged rest of a file from its end:
    both are the end.
    """

    def __init__(self, name: str, source: VideoSource, clock: Clock) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._pace = Pace(source.rate_hz, clock)
        self._reader: Reader | None = None
        self._frame_id = 0
        self._read_in_pass = 0

    def open(self) -> None:
        if not Path(self._source.url).is_file():
            raise CameraError(
                f"{masked(self._source.url)}: no such video file; set source.url to a file or rtsp:// address"
            )
        capture = cv2.VideoCapture(self._source.url, cv2.CAP_FFMPEG)
        self._read_in_pass = 0
        if not capture.isOpened():
            capture.release()
            raise CameraError(
                f"{masked(self._source.url)}: is not a video OpenCV can read; convert or replace the file"
            )
        self._reader = checked(capture)

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        if not self._pace.wait(timeout_s):
            return None
        try:
            picture = self._read()
        except Damaged as error:
            return self._fault(f"{masked(self._source.url)}: picture {self._frame_id} is damaged ({error})")
        if picture is None:
            raise EndOfStream
        frame = Frame(
            camera=self._name,
            frame_id=self._frame_id,
            image=picture,
            captured_ns=self._clock.monotonic_ns(),
            captured_at=self._clock.utc_now(),
        )
        self._frame_id += 1
        return frame

    def close(self) -> None:
        if self._reader is not None:
            self._reader.release()
            self._reader = None

    def _read(self) -> Pixels | None:
        """The next picture, from the start again where the source repeats; None at the end."""
        if self._reader is None:
            raise CameraError(f"{masked(self._source.url)}: is not open; call open first")
        found, picture = self._reader.read()
        if not found and self._source.repeat and self._read_in_pass:
            self.close()
            self.open()
            found, picture = self._reader.read()
        if not found:
            return None
        self._read_in_pass += 1
        return from_opencv(cast(Pixels, picture))

    def _fault(self, detail: str) -> FrameFault:
        fault = fault_now(self._name, self._frame_id, detail, self._clock)
        self._frame_id += 1
        return fault
