"""The numbers of a station at one moment, and `plumbline.metrics/1`, the message of all of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from agent.contract.metrics import METRICS, Metric

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def place_of(value: float) -> int:
    """Which of a distribution's counts a value belongs to."""
    return bisect_left(SECONDS, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Values in the buckets that SECONDS bound, and one more for those above; and their sum."""

    counts: tuple[int, ...] = (0,) * (len(SECONDS) + 1)
    total: float = 0.0

    def with_value(self, value: float) -> Distribution:
        place = place_of(value)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Distribution(counts=counts, total=self.total + value)

    def buckets(self) -> tuple[tuple[str, int], ...]:
        """As Prometheus counts them: a bound, and all values up to it."""
        return tuple(zip((*map(str, SECONDS), "+Inf"), accumulate(self.counts), strict=True))


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a metric, with a value for each of its labels."""

    name: str
    value: float | Distribution
    labels: tuple[str, ...] = ()


def of_metric(samples: Iterable[Sample], metric: Metric) -> Sequence[Sample]:
    """Its samples; one that has no labels and was not counted yet is nothing."""
    found = [sample for sample in samples if sample.name == metric.name]
    if found or metric.labels:
        return found
    return [Sample(metric.name, Distribution() if metric.kind == "histogram" else 0)]


def message(samples: Sequence[Sample]) -> dict[str, Any]:
    """`plumbline.metrics/1`: a number for each metric, one level of names below it for each label.

    Histograms give count and sum, and buckets as Prometheus counts them: all values up to the bound.
    """
    families: dict[str, Any] = {"schema": "plumbline.metrics/1"}
    for metric in METRICS:
        found = of_metric(samples, metric)
        families[metric.name] = _nested(found) if metric.labels else _plain(found[0].value)
    return families


def _nested(samples: Sequence[Sample]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for sample in samples:
        place = tree
        for label in sample.labels[:-1]:
            place = place.setdefault(label, {})
        place[sample.labels[-1]] = _plain(sample.value)
    return tree


def _plain(value: float | Distribution) -> Any:
    if isinstance(value, Distribution):
        return {"count": sum(value.counts), "sum": value.total, "buckets": dict(value.buckets())}
    return int(value) if float(value).is_integer() else value
