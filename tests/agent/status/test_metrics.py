"""METRICS is the whole truth: Prometheus text, MQTT payload and table have the same names and numbers."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.contract.metrics import METRICS, Metric
from agent.contract.samples import SECONDS, Distribution, Sample, message
from agent.status.metrics import Metrics


def value(metrics: Metrics, sample: str, **labels: str) -> float:
    families = text_string_to_metric_families(metrics.render().decode())
    return next(
        one.value
        for family in families
        for one in family.samples
        if one.name == sample and one.labels == labels
    )


def counted(metric: Metric) -> Sample:
    """Some number of it, with some word for each label."""
    labels = tuple(f"some {label}" for label in metric.labels)
    number = Distribution().with_value(0.012) if metric.kind == "histogram" else 3
    return Sample(metric.name, number, labels)


def test_the_text_parses_and_has_every_metric_of_the_table_and_help_for_each() -> None:
    moved = Metrics(lambda: [counted(metric) for metric in METRICS])
    families = {one.name: one for one in text_string_to_metric_families(moved.render().decode())}
    for metric in METRICS:
        family = families[f"plumbline_{metric.name}"]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        assert family.samples
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_each_number_stands_in_text_and_message_under_its_name_and_labels() -> None:
    moved = Metrics(lambda: [counted(metric) for metric in METRICS])
    for metric in METRICS:
        place = moved.snapshot()[metric.name]
        for label in metric.labels:
            place = place[f"some {label}"]
        labels = {label: f"some {label}" for label in metric.labels}
        if metric.kind == "histogram":
            assert place["count"] == place["buckets"]["0.02"] == 1 and place["buckets"]["0.01"] == 0
            assert value(moved, f"plumbline_{metric.name}_bucket", le="0.02", **labels) == 1
            assert value(moved, f"plumbline_{metric.name}_sum", **labels) == place["sum"] == 0.012
        else:
            suffix = "_total" if metric.kind == "counter" else ""
            assert value(moved, f"plumbline_{metric.name}{suffix}", **labels) == place == 3


@given(st.lists(st.floats(0, 10)))
def test_a_distribution_counts_every_value_up_to_each_bound(values: list[float]) -> None:
    distribution = Distribution()
    for one in values:
        distribution = distribution.with_value(one)
    buckets = dict(distribution.buckets())
    assert [buckets[str(bound)] for bound in SECONDS] == [
        sum(one <= bound for one in values) for bound in SECONDS
    ]
    assert buckets["+Inf"] == len(values)


def test_sources_are_asked_at_each_scrape() -> None:
    rows = [1]
    metrics = Metrics(lambda: [Sample("outbox_rows", rows[0])])
    assert value(metrics, "plumbline_outbox_rows") == 1
    rows[0] = 34
    assert value(metrics, "plumbline_outbox_rows") == metrics.snapshot()["outbox_rows"] == 34


def test_two_agents_in_one_process_do_not_share_numbers() -> None:
    first, second = Metrics(lambda: [Sample("outbox_rows", 7)]), Metrics()
    assert first.snapshot()["outbox_rows"] == 7
    assert second.snapshot()["outbox_rows"] == 0


def test_the_message_is_json_with_every_metric_also_before_anything_was_counted() -> None:
    fresh = json.loads(json.dumps(message([])))
    assert set(fresh) == {"schema", *(metric.name for metric in METRICS)}
    assert fresh["schema"] == "plumbline.metrics/1"
    assert fresh["frames"] == {}
    assert fresh["inspect_seconds"]["count"] == 0
