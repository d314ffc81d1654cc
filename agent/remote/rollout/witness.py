"""What the lines make of the bundles that judge: a listener that only takes note."""

from __future__ import annotations

from collections import deque

from agent.clock import Clock
from agent.line.publish import Recorded
from agent.remote.rollout.baseline import Sample, sample_of

RECENT = 1000  # verdicts that health before is told by
UNSEEN = 20_000  # that wait for whoever looks once a second


class Witness:
    """Told of records in the outbox's thread; asked by the updater's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: deque[Sample] = deque(maxlen=RECENT)
        self._fresh: deque[Sample] = deque(maxlen=UNSEEN)

    def recorded(self, told: Recorded) -> None:
        """Costs the line an append."""
        sample = sample_of(told.verdict, self._clock.monotonic_ns())
        if sample is not None:
            self._recent.append(sample)
            self._fresh.append(sample)

    def fresh(self) -> list[Sample]:
        """Those since it was asked last, oldest first."""
        found = []
        while self._fresh:
            found.append(self._fresh.popleft())
        return found

    def recent(self, bundle: str | None) -> list[Sample]:
        """The last ones of a bundle."""
        return [one for one in self._recent.copy() if one.bundle == bundle]
