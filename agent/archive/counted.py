"""What the archive counts since its start, as increments of the metrics."""

from __future__ import annotations

from agent.archive.archive import REASONS, Counts
from agent.status.metrics import Metrics


class ArchiveCounted:
    """Remembers what was counted; for one thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = Counts(
            written=0, dropped=dict.fromkeys(REASONS, 0), evicted=0, failures=0, entries=0, size_bytes=0
        )

    def take(self, counts: Counts) -> None:
        """Everything that has happened since the last call."""
        before, self._before = self._before, counts
        self._metrics.archive(
            written=counts.written - before.written,
            dropped={reason: count - before.dropped[reason] for reason, count in counts.dropped.items()},
            evicted=counts.evicted - before.evicted,
            failures=counts.failures - before.failures,
        )
        self._metrics.archive_size(entries=counts.entries, size_bytes=counts.size_bytes)
