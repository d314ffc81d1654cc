"""What the line asks of any camera."""

from __future__ import annotations

from typing import Protocol

from agent.errors import PlumblineError
from agent.messages import Frame, FrameFault


class CameraError(PlumblineError):
    """The camera itself cannot be used; the message names the source, the value and the remedy."""


class EndOfStream(Exception):
    """A finite source has given everything it had."""


class Camera(Protocol):
    """One source of frames, used by one thread."""

    def open(self) -> None:
        """Make ready to grab, also again after `close`; raises CameraError."""

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        """The next trigger, or None when there was none within the timeout.

        A FrameFault is a trigger without a judgeable picture: the stream goes on. Raises EndOfStream
        when a finite source is done, CameraError when the camera is lost; it must then be closed.
        """

    def close(self) -> None:
        """Let go of the source; does nothing when it is not open."""
