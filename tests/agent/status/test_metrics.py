"""METRICS is the whole truth: Prometheus text, MQTT payload and table have the same names and numbers."""

from __future__ import annotations

import json
import threading

from prometheus_client.parser import text_string_to_metric_families

from agent.cameras.counted import CameraCounted
from agent.cameras.life import Counts
from agent.status.metrics import METRICS, VERDICTS, Metrics


def value(metrics: Metrics, sample: str, **labels: str) -> float:
    families = text_string_to_metric_families(metrics.render().decode())
    return next(
        one.value
        for family in families
        for one in family.samples
        if one.name == sample and one.labels == labels
    )


def counts(frames: int) -> Counts:
    return Counts(
        streaming=True,
        epoch=3,
        frames=frames,
        reconnects=3,
        stalls=1,
        losses=2,
        lines_dropped=7,
        open_failures={"in_use": 4},
        driver={"resent_packets": frames * 2},
    )


def moved() -> Metrics:
    metrics = Metrics(["top"])
    metrics.frame("top")
    metrics.frame("top")
    metrics.verdict("top", "fail")
    metrics.skipped("overload")
    metrics.inspected(0.012)
    metrics.recorded(0.3)
    metrics.outbox_depth(rows=34, size_bytes=9000, oldest_s=12.5)
    metrics.outbox_state(full=True, unconfirmed=3, dead_letters=2)
    metrics.delivery(published=9, acknowledged=8, refused=1, crops_evicted=4)
    metrics.commands(performed=2, refused={"expired": 3}, dropped=5)
    metrics.reconnected()
    metrics.lines_lost("top", 17)
    metrics.camera_fault("top", "camera_error")
    counted = CameraCounted("top", metrics)
    for frames in (10, 25):
        counted.take(counts(frames))
    metrics.engine_failed("tensorrt")
    metrics.unjudged("top", "not_finite")
    metrics.unjudged_ratio("top", 0.25)
    return metrics


def test_the_text_parses_and_has_every_metric_of_the_table_and_help_for_each() -> None:
    families = {one.name: one for one in text_string_to_metric_families(moved().render().decode())}
    for metric in METRICS:
        family = families[f"plumbline_{metric.name}"]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        assert family.samples
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_every_typed_increment_moves_its_own_metric() -> None:
    metrics = moved()
    assert value(metrics, "plumbline_frames_total", camera="top") == 2
    assert value(metrics, "plumbline_verdicts_total", camera="top", verdict="fail") == 1
    assert value(metrics, "plumbline_skipped_total", reason="overload") == 1
    assert value(metrics, "plumbline_inspect_seconds_sum") == 0.012
    assert value(metrics, "plumbline_inspect_seconds_bucket", le="0.02") == 1
    assert value(metrics, "plumbline_inspect_seconds_bucket", le="0.01") == 0
    assert value(metrics, "plumbline_capture_to_recorded_seconds_count") == 1
    assert value(metrics, "plumbline_outbox_rows") == 34
    assert value(metrics, "plumbline_outbox_bytes") == 9000
    assert value(metrics, "plumbline_outbox_oldest_seconds") == 12.5
    assert value(metrics, "plumbline_outbox_full") == 1
    assert value(metrics, "plumbline_outbox_unconfirmed") == 3
    assert value(metrics, "plumbline_dead_letters") == 2
    assert value(metrics, "plumbline_published_total") == 9
    assert value(metrics, "plumbline_acknowledged_total") == 8
    assert value(metrics, "plumbline_refused_total") == 1
    assert value(metrics, "plumbline_crops_evicted_total") == 4
    assert value(metrics, "plumbline_commands_total") == 2
    assert value(metrics, "plumbline_commands_refused_total", kind="expired") == 3
    assert value(metrics, "plumbline_inbound_dropped_total") == 5
    assert value(metrics, "plumbline_reconnects_total") == 1
    assert value(metrics, "plumbline_camera_lines_lost_total", camera="top") == 17
    assert value(metrics, "plumbline_camera_streaming", camera="top") == 1
    assert value(metrics, "plumbline_camera_received_total", camera="top") == 25
    assert value(metrics, "plumbline_camera_reconnects_total", camera="top") == 3
    assert value(metrics, "plumbline_camera_stalls_total", camera="top") == 1
    assert value(metrics, "plumbline_camera_losses_total", camera="top") == 2
    assert value(metrics, "plumbline_camera_lines_dropped_total", camera="top") == 7
    assert value(metrics, "plumbline_camera_open_failures_total", camera="top", reason="in_use") == 4
    assert value(metrics, "plumbline_camera_driver_total", camera="top", name="resent_packets") == 50
    assert value(metrics, "plumbline_camera_faults_total", camera="top", reason="camera_error") == 1


def test_records_without_a_decision_are_counted_by_reason_and_as_a_share() -> None:
    metrics = moved()
    assert value(metrics, "plumbline_unjudged_total", camera="top", reason="not_finite") == 1
    assert value(metrics, "plumbline_unjudged_total", camera="top", reason="overload") == 0
    assert value(metrics, "plumbline_unjudged_ratio", camera="top") == 0.25


def test_known_cameras_start_at_zero_so_that_the_first_reject_is_a_rate() -> None:
    metrics = Metrics(["top"])
    for verdict in VERDICTS:
        assert value(metrics, "plumbline_verdicts_total", camera="top", verdict=verdict) == 0


def test_the_snapshot_is_json_with_every_metric_by_name_and_labels_below_it() -> None:
    snapshot = json.loads(json.dumps(moved().snapshot()))
    assert set(snapshot) == {"schema", *(metric.name for metric in METRICS)}
    assert snapshot["schema"] == "plumbline.metrics/1"
    assert snapshot["frames"] == {"top": 2}
    assert snapshot["verdicts"]["top"] == {"pass": 0, "fail": 1, "undecided": 0, "skipped": 0}
    assert snapshot["camera_faults"] == {"top": {"camera_error": 1}}
    assert snapshot["outbox_oldest_seconds"] == 12.5
    assert snapshot["inspect_seconds"]["count"] == 1
    assert snapshot["inspect_seconds"]["buckets"]["+Inf"] == 1


def test_two_agents_in_one_process_do_not_share_numbers() -> None:
    first, second = Metrics(["top"]), Metrics(["top"])
    first.frame("top")
    assert second.snapshot()["frames"] == {"top": 0}


def test_increments_from_many_threads_all_arrive() -> None:
    metrics = Metrics(["top"])

    def count() -> None:
        for _ in range(500):
            metrics.frame("top")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.snapshot()["frames"] == {"top": 2000}
