"""A duty that takes long, in a thread of its own: one at a time, and given up when that is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

Call: TypeAlias = Callable[[Callable[[], bool]], None]  # is told how to ask whether it is to be given up


class Work:
    """Belongs to the thread that starts it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._given_up = threading.Event()

    @property
    def is_going_on(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, name: str, call: Call) -> None:
        """The one before has ended. `call` raises nothing."""
        self._given_up = given_up = threading.Event()
        self._thread = threading.Thread(
            target=call, args=(given_up.is_set,), name=f"update-{name}", daemon=True
        )
        self._thread.start()

    def give_up(self, timeout_s: float) -> bool:
        """Have it end; whether it has within the time."""
        self._given_up.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_going_on
