"""The level of the log, for a time or until the agent starts anew."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import structlog

from agent import logs
from agent.clock import Clock

log = structlog.get_logger(__name__)


class LogLevel:
    """Safe from any thread; `watch` is to be called once a second."""

    def __init__(self, of_settings: str, clock: Clock) -> None:
        self._of_settings = of_settings
        self._clock = clock
        self._lock = threading.Lock()
        self._ends_ns: int | None = None

    @property
    def settings_level(self) -> str:
        return self._of_settings

    def set_level(self, level: str, for_s: float | None) -> datetime | None:
        with self._lock:
            logs.set_level(level)
            self._ends_ns = None if for_s is None else self._clock.monotonic_ns() + round(for_s * 1e9)
        return None if for_s is None else self._clock.utc_now() + timedelta(seconds=for_s)

    def take_over(self, of_settings: str) -> None:
        """Other settings are in force, and their level with them."""
        with self._lock:
            self._of_settings, self._ends_ns = of_settings, None

    def watch(self) -> None:
        with self._lock:
            if self._ends_ns is None or self._clock.monotonic_ns() < self._ends_ns:
                return
            self._ends_ns = None
            logs.set_level(self._of_settings)
        log.info("log_level", level=self._of_settings, reason="its time is over")
