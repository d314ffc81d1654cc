"""A camera that gives one picture again and again, and one that moves again, as events."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.outbox.file import FullError
from agent.status.health import frozen_words
from agent.status.snapshot import CameraView


class FrozenCameras:
    """`note` keeps an event's row, or raises FullError; then it is tried again."""

    def __init__(self, events: EventMaker, note: Callable[[Row], None]) -> None:
        self._events = events
        self._note = note
        self._told: set[str] = set()

    def look(self, cameras: Iterable[CameraView]) -> None:
        """To be called about once a second."""
        for camera in cameras:
            try:
                self._tell(camera)
            except FullError:  # the outbox says so itself
                return

    def _tell(self, camera: CameraView) -> None:
        name, frozen_s = camera.name, camera.frozen_s
        if frozen_s is not None and name not in self._told:
            words = frozen_words(name, frozen_s)
            self._note(self._events.row("camera_frozen", "alarm", words, camera=name, for_s=frozen_s))
            self._told.add(name)
        elif frozen_s is None and name in self._told:
            words = f"Camera {name} gives other pictures again"
            self._note(self._events.row("camera_moves", "info", words, camera=name))
            self._told.discard(name)
