"""What became of triggers, counted as their records become durable."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from agent.contract.metrics import UNJUDGED, VERDICTS, Distribution, Sample
from agent.line.publish import Recorded
from agent.messages import FrameFault


class Tally:
    """Counts since the start, from any thread."""

    def __init__(self, cameras: Sequence[str]) -> None:
        """Series of the named cameras exist from the start at zero, so that rates have a beginning."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()  # by the metric's name, then its labels
        self._times = {"inspect_seconds": Distribution(), "capture_to_recorded_seconds": Distribution()}
        for camera in cameras:
            for name in ("frames", "camera_lines_lost"):
                self._counts[name, camera] = 0
            self._counts.update({("verdicts", camera, verdict): 0 for verdict in VERDICTS})
            self._counts.update({("unjudged", camera, reason): 0 for reason in UNJUDGED})

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        verdict, item = told.verdict, told.item
        with self._lock:
            self._counts["frames", verdict.camera] += 1
            self._counts["verdicts", verdict.camera, verdict.verdict] += 1
            if verdict.verdict in ("undecided", "skipped"):
                self._counts["unjudged", verdict.camera, verdict.reason or "other"] += 1
            if isinstance(item, FrameFault):
                self._counts["skipped", item.reason] += 1
                self._counts["camera_faults", item.camera, item.reason] += 1
            self._counts["camera_lines_lost", verdict.camera] += verdict.frame.lines_lost
            self._time("capture_to_recorded_seconds", told.capture_to_committed_s)
            if verdict.timing_ms.infer is not None:
                self._time("inspect_seconds", verdict.timing_ms.infer / 1e3)

    def samples(self) -> Iterable[Sample]:
        with self._lock:
            counts, times = dict(self._counts), dict(self._times)
        counted = [Sample(name, count, tuple(labels)) for (name, *labels), count in counts.items()]
        return [*counted, *(Sample(name, times[name]) for name in times)]

    def _time(self, name: str, seconds: float) -> None:
        self._times[name] = self._times[name].with_value(seconds)
