"""What became of triggers, counted as their records become durable."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from agent.contract.metrics import SKIPPED, STAGES, UNJUDGED, UNLABELLED, VERDICTS
from agent.contract.samples import SECONDS, Distribution, Sample, place_of
from agent.contract.verdict import TimingMessage
from agent.line.publish import Recorded
from agent.messages import FrameFault

COUNTED = (
    "frames",
    "camera_lines_lost",
    "crops_cut",
    "crops_left_out",
    "crops_reencoded",
    "defects_left_out",
)


class Tally:
    """Counts since the start, from any thread."""

    def __init__(self, cameras: Sequence[str]) -> None:
        """Series of the named cameras exist from the start at zero, so that rates have a beginning."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()  # by the metric's name, then its labels
        self._times: defaultdict[tuple[str, ...], _Times] = defaultdict(_Times)
        self._times.update({(name,): _Times() for name in ("inspect_seconds", "capture_to_recorded_seconds")})
        self._counts.update({("skipped", reason): 0 for reason in SKIPPED})
        for camera in cameras:
            self._counts.update({(name, camera): 0 for name in COUNTED})
            self._counts.update({("verdicts", camera, verdict): 0 for verdict in VERDICTS})
            self._counts.update({("unjudged", camera, reason): 0 for reason in UNJUDGED})
            self._counts.update({("defects_unlabelled", camera, reason): 0 for reason in UNLABELLED})
            self._counts.update({("camera_faults", camera, reason): 0 for reason in SKIPPED})
            self._times.update({("stage_seconds", camera, stage): _Times() for stage in STAGES})

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        verdict, item = told.verdict, told.item
        camera, counts = verdict.camera, self._counts
        defects = len(verdict.defects) + told.defects_left_out
        stages = stages_s(verdict.timing_ms, told.capture_to_committed_s)
        with self._lock:
            counts["frames", camera] += 1
            counts["verdicts", camera, verdict.verdict] += 1
            if verdict.verdict in ("undecided", "skipped"):
                counts["unjudged", camera, verdict.reason or "other"] += 1
            if isinstance(item, FrameFault):
                counts["skipped", item.reason] += 1
                counts["camera_faults", item.camera, item.reason] += 1
            counts["camera_lines_lost", camera] += verdict.frame.lines_lost
            counts["crops_cut", camera] += len(told.crops)
            counts["crops_reencoded", camera] += sum(crop.encodings - 1 for crop in told.crops)
            counts["crops_left_out", camera] += max(0, defects - len(told.crops))
            counts["defects_left_out", camera] += told.defects_left_out
            for defect in verdict.defects:
                if defect.label_reason is not None:
                    counts["defects_unlabelled", camera, defect.label_reason] += 1
            self._times[("capture_to_recorded_seconds",)].add(told.capture_to_committed_s)
            if verdict.timing_ms.infer is not None:
                self._times[("inspect_seconds",)].add(verdict.timing_ms.infer / 1e3)
            for stage, seconds in stages.items():
                self._times["stage_seconds", camera, stage].add(seconds)

    def samples(self) -> Iterable[Sample]:
        with self._lock:
            counts = dict(self._counts)
            times = {place: one.distribution() for place, one in self._times.items()}
        counted = [Sample(name, count, tuple(labels)) for (name, *labels), count in counts.items()]
        return [*counted, *(Sample(name, one, tuple(labels)) for (name, *labels), one in times.items())]


class _Times:
    """A distribution that grows; the caller keeps threads apart."""

    __slots__ = ("_counts", "_total_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._total_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[place_of(seconds)] += 1
        self._total_s += seconds

    def distribution(self) -> Distribution:
        return Distribution(counts=tuple(self._counts), total=self._total_s)


def stages_s(timing: TimingMessage, capture_to_committed_s: float) -> Mapping[str, float]:
    """How long each of STAGES took for a frame that was judged; nothing for one that was not."""
    queued, prepared, infer, judged = timing.queued, timing.capture_to_prepared, timing.infer, timing.judge
    if queued is None or prepared is None or infer is None or judged is None:
        return {}
    return {
        "queue": queued / 1e3,
        "prepare": max(0.0, prepared - queued) / 1e3,
        "infer": infer / 1e3,
        "judge": judged / 1e3,
        "record": max(0.0, timing.capture_to_recorded - prepared - infer - judged) / 1e3,
        "commit": max(0.0, capture_to_committed_s - timing.capture_to_recorded / 1e3),
    }
