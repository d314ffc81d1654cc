"""A folder of images as a camera: one trigger for each file."""

from __future__ import annotations

from pathlib import Path

from agent.cameras.camera import CameraError, EndOfStream, fault_now
from agent.cameras.images import ImageError, list_images, read_image
from agent.cameras.pace import Pace
from agent.clock import Clock
from agent.foreign import shown, stored
from agent.messages import Frame, FrameFault
from agent.settings.camera import FolderSource


class FolderCamera:
    """The files there are at `open`, in natural name order; a rate of 0 is as fast as taken."""

    def __init__(self, name: str, source: FolderSource, clock: Clock) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._pace = Pace(source.rate_hz, clock)
        self._files: list[Path] = []
        self._next = 0
        self._frame_id = 0

    def open(self) -> None:
        self._files = list_images(self._source.path)
        self._next = 0

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        if self._next == len(self._files):
            if not self._source.repeat or not self._files:
                raise EndOfStream
            self._next = 0
        if not self._pace.wait(timeout_s):
            return None
        if not self._source.path.exists():
            raise CameraError(f"{shown(str(self._source.path))}: is gone; bring it back or set source.path")
        file = self._files[self._next]
        self._next += 1
        frame_id = self._frame_id
        self._frame_id += 1
        try:
            image = read_image(file, self._source.max_megapixels)
        except ImageError as error:
            return fault_now(self._name, frame_id, str(error), self._clock, part_id=stored(file.stem))
        return Frame(
            camera=self._name,
            frame_id=frame_id,
            image=image,
            captured_ns=self._clock.monotonic_ns(),
            captured_at=self._clock.utc_now(),
            part_id=stored(file.stem),
        )

    def close(self) -> None:
        self._files = []
        self._next = 0
