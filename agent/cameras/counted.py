"""What cameras count since the agent's start, as increments of the metrics."""

from __future__ import annotations

from collections import Counter

from agent.cameras.life import Counts
from agent.status.metrics import Metrics


class CameraCounted:
    """Remembers what was counted of one camera; for one thread."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self._name = name
        self._metrics = metrics
        self._before: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._driver: Counter[str] = Counter()

    def take(self, counts: Counts) -> None:
        """Everything that has happened since the last call."""
        now = Counter(
            camera_received=counts.frames,
            camera_reconnects=counts.reconnects,
            camera_stalls=counts.stalls,
            camera_losses=counts.losses,
            camera_lines_dropped=counts.lines_dropped,
        )
        failures, driver = Counter[str](counts.open_failures), Counter(counts.driver)
        self._metrics.camera_streaming(self._name, counts.streaming)
        self._metrics.camera(self._name, now - self._before, failures - self._failures)
        self._metrics.camera_driver(self._name, driver - self._driver)
        self._before, self._failures, self._driver = now, failures, driver
