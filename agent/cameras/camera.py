"""What the line asks of any camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from agent.clock import Clock
from agent.errors import PlumblineError
from agent.messages import Frame, FrameFault


class CameraError(PlumblineError):
    """The camera itself cannot be used; the message names the source, the value and the remedy."""


class CameraInUse(CameraError):
    """Another client holds the camera: perhaps our own predecessor, until its heartbeat runs out."""


class CameraMisconfigured(CameraError):
    """The settings ask for what this camera or this machine does not have; waiting alone will not help."""


class EndOfStream(Exception):
    """A finite source has given everything it had."""


class Camera(Protocol):
    """One source of frames, from `open` to `close`, used by one thread alone."""

    def open(self) -> None:
        """Make ready to grab, also again after `close`; raises CameraError."""

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        """The next trigger, or None when there was none within the timeout.

        A FrameFault is a trigger without a judgeable picture: the stream goes on. Raises EndOfStream
        when a finite source is done, CameraError when the camera is lost; it must then be closed.
        """

    def close(self) -> None:
        """Let go of the source; does nothing when it is not open."""


def fault_now(
    camera: str, frame_id: int, detail: str, clock: Clock, *, part_id: str | None = None, first_line: int = 0
) -> FrameFault:
    """A trigger of this moment without a picture that can be judged, `camera_error`."""
    return FrameFault(
        camera=camera,
        frame_id=frame_id,
        reason="camera_error",
        detail=detail,
        captured_ns=clock.monotonic_ns(),
        captured_at=clock.utc_now(),
        part_id=part_id,
        first_line=first_line,
    )


@runtime_checkable
class Counting(Protocol):
    """A camera whose driver counts what happens on the way, such as resent packets."""

    def stats(self) -> Mapping[str, int]:
        """What was counted since `open`, by name; never raises, and is asked between grabs."""
