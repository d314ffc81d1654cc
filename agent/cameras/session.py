"""One connection to a camera: an object, a thread and an epoch that begin and end together.

Only this thread ever touches the object, so nobody waits for a driver that hangs in `open`, `grab` or
`close`: the session is abandoned, and ends by itself when the driver lets go of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from agent.cameras.camera import Camera, Counting
from agent.clock import Clock
from agent.messages import Item

log = structlog.get_logger()

GRAB_S = 0.5  # between two looks at `stop`
STATS_EVERY_S = 1.0


class Listener(Protocol):
    """Who hears of a session; each call comes from the session's thread, False ends it."""

    def opened(self, session: Session) -> bool: ...

    def grabbed(self, session: Session, item: Item | None) -> bool: ...

    def counted(self, session: Session, stats: Mapping[str, int]) -> None: ...

    def ended(self, session: Session, error: BaseException | None) -> None:
        """Before the camera is closed; None when the session was told to end."""


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """`start` it once; `told_to_end` ends it after the present call into the driver."""

    name: str
    make: Callable[[], Camera]
    listener: Listener
    clock: Clock
    told_to_end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"grab-{self.name}", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        camera: Camera | None = None
        try:
            camera = self.make()
            self._stream(camera)
        except Exception as error:  # drivers raise what they like; the listener weighs it
            self.listener.ended(self, error)
        else:
            self.listener.ended(self, None)
        try:
            if camera is not None:
                camera.close()
        except Exception as error:  # nobody waits for this thread, and the next session has its own object
            log.warning("camera_close_failed", camera=self.name, error=str(error), kind=type(error).__name__)

    def _stream(self, camera: Camera) -> None:
        camera.open()
        go_on = self.listener.opened(self)
        self._count(camera)  # from zero: what is counted within the first second would begin no series
        asked_ns = self.clock.monotonic_ns()
        try:
            while go_on and not self.told_to_end.is_set():
                go_on = self.listener.grabbed(self, camera.grab(GRAB_S))
                now_ns = self.clock.monotonic_ns()
                if now_ns - asked_ns >= STATS_EVERY_S * 1e9:
                    asked_ns = now_ns
                    self._count(camera)
        finally:
            self._count(camera)

    def _count(self, camera: Camera) -> None:
        if isinstance(camera, Counting) and not self.told_to_end.is_set():
            self.listener.counted(self, camera.stats())
