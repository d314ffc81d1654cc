"""The numbers of a running station for Prometheus and for its MQTT message, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from agent.contract.metrics import METRICS
from agent.contract.samples import Distribution, Sample, message, of_metric

CONTENT_TYPE = CONTENT_TYPE_LATEST
Source: TypeAlias = Callable[[], Iterable[Sample]]  # from any thread, quick, and waiting for nobody

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class Metrics(Collector):
    """Asks its sources for what they have counted; one for one agent, from any thread."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, CPU and file handles of this process
        self._registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would ask the sources for it, before there are any."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric of the table."""
        samples = self.samples()
        for metric in METRICS:
            name, labels = f"plumbline_{metric.name}", metric.labels
            if metric.kind == "histogram":
                distribution = HistogramMetricFamily(name, metric.help, labels=labels)
                for sample in of_metric(samples, metric):
                    assert isinstance(sample.value, Distribution)
                    distribution.add_metric(sample.labels, [*sample.value.buckets()], sample.value.total)
                yield distribution
                continue
            family = _FAMILIES[metric.kind](name, metric.help, labels=labels)
            for sample in of_metric(samples, metric):
                assert not isinstance(sample.value, Distribution)
                family.add_metric(sample.labels, sample.value)
            yield family

    def render(self) -> bytes:
        """Prometheus text; its media type is CONTENT_TYPE."""
        return generate_latest(self._registry)

    def snapshot(self) -> dict[str, Any]:
        """`plumbline.metrics/1`."""
        return message(self.samples())

    def samples(self) -> list[Sample]:
        """As they are now."""
        return [sample for source in self._sources for sample in source()]
