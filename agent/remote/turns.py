"""Settings and a bundle are tried one after the other, so that each is compared with what was before it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

Bundle: TypeAlias = Literal["away", "waits", "tried"]  # tried: from just before its switch to its end


class Turns:
    """Of one run, from any thread. Settings are not taken up while a bundle is tried, or waits for nothing
    but them; a bundle is not switched while settings are under way, and comes first when those have ended.
    Thus neither waits for the other to begin, and neither keeps the other from ever having its turn.
    """

    def __init__(self, settings: Callable[[], str | None], bundle: Bundle = "away") -> None:
        """`settings` says in which state they are, None where none are under way."""
        self.bundle = bundle
        self._settings = settings
        self._lock = threading.Lock()

    def begin_settings(self, begin: Callable[[], None]) -> str | None:
        """Have it done, unless a bundle is to come first; then why it was not."""
        with self._lock:
            match self.bundle:
                case "tried":
                    return "a bundle is on probation"
                case "waits":
                    return "a bundle that waited for its turn comes first"
            begin()
        return None

    def begin_bundle(self) -> str | None:
        """From now on a bundle is tried, or waits for its turn; then why."""
        with self._lock:
            if self.bundle == "tried":
                return None
            state = self._settings()
            self.bundle = "tried" if state is None else "waits"
        return state and f"settings are under way ({state}); it comes into force when they have ended"

    def go_on_with_bundle(self) -> None:
        """One is tried already, since before this run."""
        with self._lock:
            self.bundle = "tried"

    def end_bundle(self) -> None:
        """None is tried, and none waits."""
        with self._lock:
            self.bundle = "away"
