"""Every number the agent counts, in one table, for Prometheus and for the MQTT metrics payload.

Counters start at zero with the process. A drop, retry, reconnect or eviction without a line
here is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from agent.messages import VerdictName

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
UNJUDGED = ("overload", "camera_error", "lost_lines", "engine_error")  # the reasons to be expected
ARCHIVE_DROPPED = ("queue", "folder", "room", "frame")
VERDICTS: tuple[VerdictName, ...] = ("pass", "fail", "undecided", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`name` without the plumbline_ prefix; Prometheus adds _total to counters."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    Metric(name="frames", kind="counter", help="Triggers that reached the line.", labels=("camera",)),
    Metric(
        name="verdicts", kind="counter", help="Records written, by verdict.", labels=("camera", "verdict")
    ),
    Metric(
        name="skipped", kind="counter", help="Records without a judgement, by reason.", labels=("reason",)
    ),
    Metric(
        name="unjudged",
        kind="counter",
        help="Records that are undecided or skipped, by reason.",
        labels=("camera", "reason"),
    ),
    Metric(
        name="unjudged_ratio",
        kind="gauge",
        help="Share of the last minute's records that are undecided or skipped.",
        labels=("camera",),
    ),
    Metric(name="inspect_seconds", kind="histogram", help="Time the engine took for one frame."),
    Metric(
        name="capture_to_recorded_seconds",
        kind="histogram",
        help="Time from the last line of a frame to its durable record.",
    ),
    Metric(
        name="engine_failures",
        kind="counter",
        help="Engines that could not be opened or were taken down, by engine.",
        labels=("engine",),
    ),
    Metric(name="outbox_rows", kind="gauge", help="Rows that wait for the broker."),
    Metric(name="outbox_bytes", kind="gauge", help="Bytes that wait for the broker."),
    Metric(name="outbox_oldest_seconds", kind="gauge", help="Age of the first waiting row; 0 for none."),
    Metric(
        name="outbox_reader_rows",
        kind="gauge",
        help="Rows that wait for the broker (mqtt) or a gateway, by its name.",
        labels=("reader",),
    ),
    Metric(
        name="outbox_reader_oldest_seconds",
        kind="gauge",
        help="Age of the first row that waits for the broker or a gateway; 0 for none.",
        labels=("reader",),
    ),
    Metric(
        name="outbox_reader_refused",
        kind="gauge",
        help="Rows that the broker or a gateway did not take.",
        labels=("reader",),
    ),
    Metric(name="published", kind="counter", help="Messages handed to the broker, retries included."),
    Metric(name="acknowledged", kind="counter", help="Messages the broker acknowledged with success."),
    Metric(name="refused", kind="counter", help="Messages the broker did not take; they are tried again."),
    Metric(name="crops_evicted", kind="counter", help="Crops deleted undelivered, each with an event."),
    Metric(name="archive_written", kind="counter", help="Judged frames that were put into the archive."),
    Metric(
        name="archive_dropped",
        kind="counter",
        help="Frames that the archive should have and has not: its queue is full, its folder fails,"
        " what is kept longer holds the room, the frame is no picture.",
        labels=("reason",),
    ),
    Metric(name="archive_evicted", kind="counter", help="Frames that left the archive to make room."),
    Metric(
        name="archive_failures", kind="counter", help="Times that the archive's folder took nothing any more."
    ),
    Metric(name="archive_entries", kind="gauge", help="Judged frames in the archive."),
    Metric(name="archive_bytes", kind="gauge", help="Bytes in the archive, its index included."),
    Metric(name="outbox_full", kind="gauge", help="1 while the outbox can take no more, else 0."),
    Metric(name="outbox_unconfirmed", kind="gauge", help="Delivered verdicts the MES has not confirmed."),
    Metric(name="dead_letters", kind="gauge", help="Rows that somebody did not take."),
    Metric(name="commands", kind="counter", help="Commands that were performed."),
    Metric(
        name="commands_refused", kind="counter", help="Commands not performed, by kind.", labels=("kind",)
    ),
    Metric(name="inbound_dropped", kind="counter", help="Messages to us that were too large or too many."),
    Metric(name="reconnects", kind="counter", help="Connections to the broker after the first one."),
    Metric(
        name="page_turned_away",
        kind="counter",
        help="Connections to the page that were closed for holding one without asking, or to make room.",
    ),
    Metric(
        name="camera_streaming",
        kind="gauge",
        help="1 while the camera gives frames, else 0.",
        labels=("camera",),
    ),
    Metric(name="camera_received", kind="counter", help="Frames or blocks of lines.", labels=("camera",)),
    Metric(
        name="camera_reconnects",
        kind="counter",
        help="Opens that succeeded, but the first.",
        labels=("camera",),
    ),
    Metric(
        name="camera_stalls", kind="counter", help="Times it was given up for silence.", labels=("camera",)
    ),
    Metric(name="camera_losses", kind="counter", help="Times it was lost with an error.", labels=("camera",)),
    Metric(
        name="camera_open_failures",
        kind="counter",
        help="Opens that failed: absent, in_use by another client, or settings it does not bear.",
        labels=("camera", "reason"),
    ),
    Metric(
        name="camera_driver",
        kind="counter",
        help="What the camera's driver counts, such as packets that were sent again.",
        labels=("camera", "name"),
    ),
    Metric(
        name="camera_lines_lost",
        kind="counter",
        help="Lines missing from the web or frames.",
        labels=("camera",),
    ),
    Metric(
        name="camera_lines_dropped",
        kind="counter",
        help="Lines seen again, or while the belt stood or turned.",
        labels=("camera",),
    ),
    Metric(
        name="camera_faults",
        kind="counter",
        help="Triggers that gave no judgeable picture, by reason.",
        labels=("camera", "reason"),
    ),
)
CAMERA_COUNTERS = (
    "camera_received",
    "camera_reconnects",
    "camera_stalls",
    "camera_losses",
    "camera_lines_dropped",
    "camera_lines_lost",
)


class Metrics:
    """Typed increments over METRICS; one instance for one agent, from any thread."""

    def __init__(self, cameras: Sequence[str]) -> None:
        """Series of the named cameras exist from the start at zero, so that rates have a beginning."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, CPU and file handles of this process
        self._counters = {one.name: self._counter(one) for one in METRICS if one.kind == "counter"}
        self._gauges = {one.name: self._gauge(one) for one in METRICS if one.kind == "gauge"}
        self._histograms = {one.name: self._histogram(one) for one in METRICS if one.kind == "histogram"}
        self.outbox_reader("mqtt", rows=0, oldest_s=0, refused=0)
        for reason in ARCHIVE_DROPPED:
            self._counters["archive_dropped"].labels(reason)
        for camera in cameras:
            self._counters["frames"].labels(camera)
            self._gauges["camera_streaming"].labels(camera)
            self._gauges["unjudged_ratio"].labels(camera)
            self._counters["camera_lines_lost"].labels(camera)
            for name in CAMERA_COUNTERS:
                self._counters[name].labels(camera)
            for verdict in VERDICTS:
                self._counters["verdicts"].labels(camera, verdict)
            for reason in UNJUDGED:
                self._counters["unjudged"].labels(camera, reason)

    def frame(self, camera: str) -> None:
        self._counters["frames"].labels(camera).inc()

    def verdict(self, camera: str, verdict: VerdictName) -> None:
        self._counters["verdicts"].labels(camera, verdict).inc()

    def skipped(self, reason: str) -> None:
        self._counters["skipped"].labels(reason).inc()

    def unjudged(self, camera: str, reason: str) -> None:
        self._counters["unjudged"].labels(camera, reason).inc()

    def unjudged_ratio(self, camera: str, share: float) -> None:
        """Of the last minute; 0 where nothing came."""
        self._gauges["unjudged_ratio"].labels(camera).set(share)

    def inspected(self, seconds: float) -> None:
        self._histograms["inspect_seconds"].observe(seconds)

    def engine_failed(self, engine: str) -> None:
        self._counters["engine_failures"].labels(engine).inc()

    def recorded(self, seconds: float) -> None:
        """A record became durable `seconds` after its frame was there."""
        self._histograms["capture_to_recorded_seconds"].observe(seconds)

    def outbox_depth(self, *, rows: int, size_bytes: int, oldest_s: float) -> None:
        self._gauges["outbox_rows"].set(rows)
        self._gauges["outbox_bytes"].set(size_bytes)
        self._gauges["outbox_oldest_seconds"].set(oldest_s)

    def outbox_reader(self, name: str, *, rows: int, oldest_s: float, refused: int) -> None:
        """What waits for the broker or one gateway."""
        self._gauges["outbox_reader_rows"].labels(name).set(rows)
        self._gauges["outbox_reader_oldest_seconds"].labels(name).set(oldest_s)
        self._gauges["outbox_reader_refused"].labels(name).set(refused)

    def outbox_state(self, *, full: bool, unconfirmed: int, dead_letters: int) -> None:
        self._gauges["outbox_full"].set(full)
        self._gauges["outbox_unconfirmed"].set(unconfirmed)
        self._gauges["dead_letters"].set(dead_letters)

    def delivery(self, *, published: int, acknowledged: int, refused: int, crops_evicted: int) -> None:
        """How many more of each there were."""
        self._counters["published"].inc(published)
        self._counters["acknowledged"].inc(acknowledged)
        self._counters["refused"].inc(refused)
        self._counters["crops_evicted"].inc(crops_evicted)

    def commands(self, *, performed: int, refused: Mapping[str, int], dropped: int) -> None:
        """How many more there were; `refused` by kind."""
        self._counters["commands"].inc(performed)
        self._counters["inbound_dropped"].inc(dropped)
        for kind, count in refused.items():
            self._counters["commands_refused"].labels(kind).inc(count)

    def archive(self, *, written: int, dropped: Mapping[str, int], evicted: int, failures: int) -> None:
        """How many more of each there were; `dropped` by reason."""
        self._counters["archive_written"].inc(written)
        self._counters["archive_evicted"].inc(evicted)
        self._counters["archive_failures"].inc(failures)
        for reason, count in dropped.items():
            self._counters["archive_dropped"].labels(reason).inc(count)

    def archive_size(self, *, entries: int, size_bytes: int) -> None:
        self._gauges["archive_entries"].set(entries)
        self._gauges["archive_bytes"].set(size_bytes)

    def page_turned_away(self) -> None:
        self._counters["page_turned_away"].inc()

    def reconnected(self) -> None:
        self._counters["reconnects"].inc()

    def lines_lost(self, camera: str, lines: int) -> None:
        self._counters["camera_lines_lost"].labels(camera).inc(lines)

    def camera_streaming(self, camera: str, streaming: bool) -> None:
        self._gauges["camera_streaming"].labels(camera).set(streaming)

    def camera(self, camera: str, more: Mapping[str, int], failures: Mapping[str, int]) -> None:
        """How many more of CAMERA_COUNTERS there were, and failed opens by reason."""
        for name, count in more.items():
            self._counters[name].labels(camera).inc(count)
        for reason, count in failures.items():
            self._counters["camera_open_failures"].labels(camera, reason).inc(count)

    def camera_driver(self, camera: str, more: Mapping[str, int]) -> None:
        for name, count in more.items():
            self._counters["camera_driver"].labels(camera, name).inc(count)

    def camera_fault(self, camera: str, reason: str) -> None:
        self._counters["camera_faults"].labels(camera, reason).inc()

    def render(self) -> bytes:
        """Prometheus text; its media type is CONTENT_TYPE."""
        return generate_latest(self._registry)

    def snapshot(self) -> dict[str, Any]:
        """`plumbline.metrics/1`: a number for each metric, one level of names below it for each label.

        Histograms give count and sum, and buckets as Prometheus counts them: all values up to the bound.
        """
        families: dict[str, Any] = {"schema": "plumbline.metrics/1"}
        for metric in METRICS:
            if metric.kind == "counter":
                families[metric.name] = _nested(metric, self._counters[metric.name])
            elif metric.kind == "gauge":
                families[metric.name] = _nested(metric, self._gauges[metric.name])
            else:
                families[metric.name] = _distribution(self._histograms[metric.name])
        return families

    def _counter(self, metric: Metric) -> Counter:
        return Counter(
            metric.name, metric.help, metric.labels, namespace="plumbline", registry=self._registry
        )

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, namespace="plumbline", registry=self._registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(
            metric.name,
            metric.help,
            metric.labels,
            namespace="plumbline",
            registry=self._registry,
            buckets=SECONDS,
        )


def _nested(metric: Metric, collector: Counter | Gauge) -> Any:
    samples = [
        one for family in collector.collect() for one in family.samples if not one.name.endswith("_created")
    ]
    if not metric.labels:
        return _number(samples[0].value)
    tree: dict[str, Any] = {}
    for sample in samples:
        place = tree
        for label in metric.labels[:-1]:
            place = place.setdefault(sample.labels[label], {})
        place[sample.labels[metric.labels[-1]]] = _number(sample.value)
    return tree


def _distribution(histogram: Histogram) -> dict[str, Any]:
    distribution: dict[str, Any] = {"count": 0, "sum": 0.0, "buckets": {}}
    for family in histogram.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                distribution["buckets"][sample.labels["le"]] = int(sample.value)
            elif sample.name.endswith("_count"):
                distribution["count"] = int(sample.value)
            elif sample.name.endswith("_sum"):
                distribution["sum"] = sample.value
    return distribution


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value
