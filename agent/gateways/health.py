"""How a receiver has done lately, and what follows for the rows that wait: pure but for its memory."""

from __future__ import annotations

import threading
from collections import deque

REMEMBERED = 20  # attempts
QUICK_PAUSE_S = 0.05  # before a row is tried again, with a receiver that takes all but this one


class Health:
    """The outcomes of the last attempts; safe from any thread."""

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self.failures = 0  # since the start

    def note(self, *, taken: bool) -> None:
        with self._lock:
            if taken and not any(self._outcomes):
                self._outcomes.clear()  # it is back: how long it was away says nothing any more
            self._outcomes.append(taken)
            self.failures += not taken

    def share(self) -> float:
        """Of the last attempts, those that succeeded; 0 before the first."""
        with self._lock:
            return sum(self._outcomes) / len(self._outcomes) if self._outcomes else 0.0

    def pause_s(self) -> float | None:
        """How long a row that failed waits for its next try; None where the receiver takes nothing at all."""
        share = self.share()
        return QUICK_PAUSE_S / share if share > 0 else None
