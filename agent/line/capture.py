"""From the camera's thread to the line: a bounded ring where every trigger keeps its place.

A camera's supervisor fills it, `Line` takes from it. In live mode the newest frame wins, in
accountable mode as many frames wait as the ring holds; a frame that is pushed out leaves a fault. A source
that can wait, such as a folder, is made to wait in accountable mode: none of its frames is pushed out.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from agent.messages import Frame, FrameFault, Item
from agent.track.unseen import without_picture

log = structlog.get_logger()

FAULTS_WAITING = 4096
THUMBNAILS_WAITING = 8  # as many as the page shows


@dataclass(slots=True)
class _Place:
    item: Item


class Capture:
    """The ring of one camera, for one thread that puts and one that takes."""

    def __init__(
        self, mode: Literal["live", "accountable"], ring_frames: int, *, source_waits: bool = False
    ) -> None:
        self._source_waits = source_waits and mode == "accountable"
        self._ring_frames = 1 if mode == "live" else ring_frames
        more = self._ring_frames > 1
        self._crowd = f"{self._ring_frames} newer frames came" if more else "a newer frame came"
        self._remedy = "set line.mode to accountable" if mode == "live" else "raise line.ring_frames"
        self._places: deque[_Place] = deque()  # in the order of triggers
        self._frames: deque[_Place] = deque()  # those of them that still hold a frame
        self._thumbnails: deque[_Place] = deque()  # those of them, and taken ones, that hold a thumbnail
        self._changed = threading.Condition()
        self._closed = False
        self.received = 0
        self.overloaded = 0

    @property
    def waiting(self) -> int:
        """Triggers that the line has not taken yet; from any thread."""
        return len(self._places)

    def put(self, item: Item, timeout_s: float | None = None) -> bool:
        """Add a trigger; the oldest waiting frame makes room for a frame.

        Waits while more than FAULTS_WAITING faults wait, and a source that can wait while the ring is full;
        False when that outlasts the timeout: then nothing was added.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(item), timeout_s):
                return False
            self.received += 1
            place = _Place(item)
            self._places.append(place)
            if isinstance(item, Frame):
                self._frames.append(place)
                if len(self._frames) > self._ring_frames:
                    self._push_out(self._frames.popleft())
            else:
                self._bound_thumbnails(place)
            self._changed.notify_all()
        return True

    def take(self, timeout_s: float) -> Item | None:
        """The oldest trigger; None when there was none within the timeout or there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._places or self._closed, timeout_s)
            if not self._places:
                return None
            place = self._places.popleft()
            if isinstance(place.item, Frame):
                self._frames.popleft()
            self._changed.notify_all()
            return place.item

    def close(self) -> None:
        """Say that no put will follow; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def is_full(self) -> bool:
        """Who puts has to wait for the line. Never waits itself: the line may stand with the ring in hand."""
        return self._is_crowded() or self._has_many_faults()

    def is_finished(self) -> bool:
        """Closed, and everything taken."""
        with self._changed:
            return self._closed and not self._places

    def _has_room(self, item: Item) -> bool:
        if isinstance(item, Frame) and self._is_crowded():
            return False
        return not self._has_many_faults()

    def _is_crowded(self) -> bool:
        return self._source_waits and len(self._frames) >= self._ring_frames

    def _has_many_faults(self) -> bool:
        return len(self._places) - len(self._frames) > FAULTS_WAITING

    def _push_out(self, place: _Place) -> None:
        assert isinstance(place.item, Frame)
        self.overloaded += 1
        place.item = without_picture(
            place.item,
            "overload",
            f"{self._crowd} before the line was free; {self._remedy},"
            " slow the camera down or use a faster engine",
        )
        self._bound_thumbnails(place)
        log.debug("frame_pushed_out", camera=place.item.camera, frame=place.item.frame_id)

    def _bound_thumbnails(self, newest: _Place) -> None:
        """Thousands of faults may wait; the page will show the last few of them."""
        self._thumbnails.append(newest)
        if len(self._thumbnails) > THUMBNAILS_WAITING:
            oldest = self._thumbnails.popleft()
            if isinstance(oldest.item, FrameFault) and oldest.item.thumbnail is not None:
                oldest.item = replace(oldest.item, thumbnail=None)
