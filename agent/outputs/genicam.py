"""A gate at an output line of a GenICam camera that this station has open: only its controller may move it.

The line takes its level from a user output (SFNC: LineSelector, LineMode, LineSource), which is then written
(UserOutputSelector, UserOutputValue). The camera keeps the last level when the agent dies: what it moves has
to watch the heartbeat, which is another line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from agent.cameras.camera import Camera, CameraError
from agent.cameras.make import MakeCamera
from agent.clock import Clock
from agent.outputs.gate import GateError
from agent.settings.camera import FeatureWrite, Source
from agent.settings.outputs import GenicamGate


@runtime_checkable
class Writable(Protocol):
    """A camera whose features can be written while it gives pictures."""

    def write(self, features: Sequence[FeatureWrite]) -> None:
        """In their order; raises CameraError. From any thread."""


@dataclass(frozen=True, slots=True)
class Cameras:
    """The newest object of each camera that can be written to."""

    newest: dict[str, Writable] = field(default_factory=dict)

    def noting(self, make: MakeCamera) -> MakeCamera:
        """`make`, whose cameras are then known here."""

        def connections(name: str, source: Source, clock: Clock) -> Callable[[], Camera]:
            connect = make(name, source, clock)

            def noted() -> Camera:
                camera = connect()
                if isinstance(camera, Writable):
                    self.newest[name] = camera
                return camera

            return noted

        return connections


class GenicamLine:
    """Written through whichever object has the camera now."""

    def __init__(self, settings: GenicamGate, cameras: Cameras) -> None:
        self._settings = settings
        self._cameras = cameras

    def open(self) -> None:
        settings = self._settings
        self._write(_line(settings.line, settings.user_output))
        if settings.heartbeat_line is not None and settings.heartbeat_user_output is not None:
            self._write(_line(settings.heartbeat_line, settings.heartbeat_user_output))

    def set(self, high: bool) -> None:
        self._write(_level(self._settings.user_output, high))

    def beat(self, high: bool) -> None:
        if self._settings.heartbeat_user_output is not None:
            self._write(_level(self._settings.heartbeat_user_output, high))

    def close(self) -> None:
        """The camera is its session's."""

    def _write(self, features: Sequence[FeatureWrite]) -> None:
        name = self._settings.camera
        camera = self._cameras.newest.get(name)
        if camera is None:
            raise GateError(f"camera {name} is not open, and with it the line of this output; see the camera")
        try:
            camera.write(features)
        except CameraError as error:
            raise GateError(f"line of camera {name}: {error}") from error


def _line(line: str, user_output: str) -> Sequence[FeatureWrite]:
    return (
        FeatureWrite(name="LineSelector", value=line),
        FeatureWrite(name="LineMode", value="Output", optional=True),
        FeatureWrite(name="LineSource", value=user_output),
    )


def _level(user_output: str, high: bool) -> Sequence[FeatureWrite]:
    return (
        FeatureWrite(name="UserOutputSelector", value=user_output),
        FeatureWrite(name="UserOutputValue", value=high),
    )
