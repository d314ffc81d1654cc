"""A plant with one camera that misbehaves on cue; every connection is a camera object of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from agent.cameras.camera import CameraError
from agent.clock import SystemClock
from agent.messages import Frame, FrameFault
from tests.fakes import NOON

PATIENCE_S = 60.0


@dataclass(slots=True)
class Plant:
    """What the camera does now; `connections` are all that were ever made."""

    period_s: float = 0.005
    error: Exception | None = None  # of open and grab while it is set
    hang_in: str | None = None  # open, grab or close
    frozen: bool = False  # grab keeps its timeout and gives nothing
    let_go: threading.Event = field(default_factory=threading.Event)  # ends every hang
    hanging: int = 0  # calls that have not come back
    connections: list[Connection] = field(default_factory=list)

    def connect(self) -> Connection:
        self.connections.append(Connection(self))
        return self.connections[-1]

    def fail(self) -> None:
        if (error := self.error) is not None:
            raise type(error)(*error.args)  # a new one: an error that is raised again keeps every trace

    def hang(self, where: str) -> None:
        if self.hang_in == where:
            self.hanging += 1
            assert self.let_go.wait(PATIENCE_S)
            self.hanging -= 1


class Connection:
    """Keeps the promises of `Camera`, and insists on the supervisor's: one thread, open once, closed once."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.frames = 0
        self.grabbing_since_ns = 0
        self.state = "made"
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        assert self.state == "made" and self._thread is None
        self._thread = threading.current_thread()
        self.plant.hang("open")
        self.plant.fail()
        self.state = "open"

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        assert self.state == "open" and self._thread is threading.current_thread() and timeout_s <= 1.0
        self.plant.hang("grab")
        self.plant.fail()
        if self.plant.frozen:
            time.sleep(0.01)
            return None
        time.sleep(self.plant.period_s)
        self.frames += 1
        clock = SystemClock()
        return Frame(
            camera="top",
            frame_id=self.frames - 1,
            image=np.full((2, 3, 1), 9, np.uint8),
            captured_ns=clock.monotonic_ns(),
            captured_at=NOON,
        )

    def close(self) -> None:
        assert self._thread is threading.current_thread()
        self.plant.hang("close")
        self.state = "closed"

    def stats(self) -> Mapping[str, int]:
        return {"resent_packets": 2 * self.frames}


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.002)


GONE = CameraError("scripted: gone; plug it in")
