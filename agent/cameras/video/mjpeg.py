"""Motion JPEG, whose pictures are decoded here: FFmpeg conceals damage, and OpenCV cannot forbid it.

Other codecs predict pictures from pictures; what was damaged or lost in them cannot be known from OpenCV.
"""

from __future__ import annotations

from typing import Protocol

import cv2
from cv2.typing import MatLike

from agent.cameras.formats import jpeg
from agent.cameras.formats.described import Damaged

CODE = cv2.VideoWriter.fourcc(*"MJPG")


class Reader(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, MatLike]:
        """Raises Damaged for a picture that is not whole; the next one can be read."""

    def release(self) -> None: ...


class MjpegReader:
    """A capture that was told to hand out what it finds undecoded."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def read(self) -> tuple[bool, MatLike]:
        found, coded = self._capture.read()
        if not found:
            return False, coded
        picture = jpeg.decode(coded.tobytes())
        if picture is None:
            raise Damaged("it has the colours of print")
        return True, picture

    def release(self) -> None:
        self._capture.release()


def checked(capture: cv2.VideoCapture) -> Reader:
    """Of an open FFmpeg capture that has not been read from."""
    is_mjpeg = int(capture.get(cv2.CAP_PROP_FOURCC)) == CODE
    return MjpegReader(capture) if is_mjpeg and capture.set(cv2.CAP_PROP_FORMAT, -1) else capture
