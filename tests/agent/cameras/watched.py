"""A supervisor that runs, with a line that takes what it puts into the ring."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from agent.cameras.camera import Camera
from agent.cameras.life import CameraState, Life, Patience, Pauses
from agent.cameras.supervisor import Supervisor
from agent.clock import SystemClock
from agent.line.capture import Capture
from agent.messages import Frame, FrameFault
from agent.settings import camera as camera_settings
from agent.track.track import make_track
from tests.agent.cameras.scripted import PATIENCE_S, eventually


@dataclass
class Watched:
    """A running supervisor with what it said and what reached the ring."""

    supervisor: Supervisor
    capture: Capture
    said: list[tuple[CameraState, str]]
    let_go: threading.Event = field(default_factory=threading.Event)  # of drivers that hang
    stop: threading.Event = field(default_factory=threading.Event)
    items: list[Frame | FrameFault] = field(default_factory=list)
    failure: BaseException | None = None

    def __enter__(self) -> Watched:
        self._threads = [threading.Thread(target=self._run), threading.Thread(target=self._take)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        self.let_go.set()

    def states(self) -> list[CameraState]:
        return [state for state, _ in self.said]

    def frames_reach(self, count: int) -> None:
        eventually(lambda: len(self.items) >= count, f"{count} frames are there")

    def frames_go_on(self) -> None:
        self.frames_reach(len(self.items) + 3)

    def reaches(self, *states: CameraState) -> None:
        eventually(lambda: bool({*self.states()[-1:]} & {*states}), f"it is {' or '.join(states)}")

    def _run(self) -> None:
        try:
            self.supervisor.run(self.stop)
        except BaseException as error:
            self.failure = error

    def _take(self) -> None:
        while not self.capture.is_finished():
            item = self.capture.take(0.05)
            if item is not None:
                self.items.append(item)


def watched_camera(
    make: Callable[[], Camera],
    patience: Patience | None = None,
    pauses: Pauses | None = None,
    wanted: camera_settings.Camera | None = None,
    why_disabled: Callable[[], str | None] = lambda: None,
) -> Watched:
    capture = Capture("accountable", ring_frames=4096)
    said: list[tuple[CameraState, str]] = []
    supervisor = Supervisor(
        name="top",
        make=make,
        make_track=lambda: make_track(wanted or camera_settings.Camera()),
        life=Life(patience or Patience(), random.Random(1), pauses),
        ring=capture,
        clock=SystemClock(),
        report=lambda state, detail: said.append((state, detail)),
        why_disabled=why_disabled,
    )
    return Watched(supervisor, capture, said)
