"""What pages were told lately, kept long enough for them to fetch its pictures.

A fast line turns the board over in less time than a browser needs to ask for the frames of its
last answer, so all pages share one snapshot for a while and the ones before it stay reachable.
"""

from __future__ import annotations

import threading
from collections import deque

from agent.status.board import Board
from agent.status.snapshot import Reject, Snapshot, StripFrame

HOLD_S = 0.5
SNAPSHOTS = 3  # a picture can be fetched for at least (SNAPSHOTS - 1) * HOLD_S


class Shown:
    """The snapshots that pages draw, newest last."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._lock = threading.Lock()
        self._snapshots: deque[Snapshot] = deque(maxlen=SNAPSHOTS)

    def snapshot(self) -> Snapshot:
        """The board at most HOLD_S ago."""
        with self._lock:
            fresh = self._board.snapshot()
            if not self._snapshots or fresh.up_s - self._snapshots[-1].up_s >= HOLD_S:
                self._snapshots.append(fresh)
            return self._snapshots[-1]

    def reject(self, result_id: str) -> Reject | None:
        """The reject of that result, if a page was told of it lately."""
        rejects = (one for snapshot in self._latest_first() for one in snapshot.rejects)
        return next((one for one in rejects if one.verdict.result_id == result_id), None)

    def strip_frame(self, camera: str, frame_id: int) -> StripFrame | None:
        """That frame of a camera, if a page was told of it lately."""
        views = (
            view for snapshot in self._latest_first() for view in snapshot.cameras if view.name == camera
        )
        return next((one for view in views for one in view.strip if one.verdict.frame.id == frame_id), None)

    def frame(self, result_id: str) -> StripFrame | None:
        """The frame of that result, if a page was told of it lately."""
        views = (view for snapshot in self._latest_first() for view in snapshot.cameras)
        return next((one for view in views for one in view.strip if one.verdict.result_id == result_id), None)

    def _latest_first(self) -> list[Snapshot]:
        with self._lock:
            return list(reversed(self._snapshots))
