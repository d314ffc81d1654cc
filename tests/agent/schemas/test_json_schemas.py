"""The schemas describe what really travels, and leave readers room for fields to come."""

from __future__ import annotations

import json

import jsonschema
import pytest

from agent.contract.events import EVENT_NAMES
from agent.contract.metrics import METRICS
from agent.contract.samples import Distribution, Sample, message
from agent.schemas import examples, remote_examples
from agent.schemas.printed import printed


def valid(what: str, instance: object) -> None:
    schema = printed(what)  # type: ignore[arg-type]
    jsonschema.Draft202012Validator(schema).validate(instance)


def test_messages_keep_their_schemas() -> None:
    valid("verdict", examples.plain(examples.verdict()))
    valid("event", examples.plain(examples.event()))
    valid("part", examples.plain(examples.part()))
    valid("status", examples.plain(examples.status()))
    valid("command", remote_examples.command("replay"))


@pytest.mark.parametrize("what", ["verdict", "event", "part", "status"])
def test_a_field_that_comes_later_does_not_break_a_reader(what: str) -> None:
    later = {**examples.plain(getattr(examples, what)()), "weather": "dry"}
    valid(what, later)
    with pytest.raises(jsonschema.ValidationError):
        valid(what, {**later, "schema": "plumbline.other/1"})


def test_a_command_is_held_to_the_letter() -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid("command", {**remote_examples.command("ping"), "weather": "dry"})
    with pytest.raises(jsonschema.ValidationError):
        valid("command", {**remote_examples.command("ping"), "args": {"weather": "dry"}})


def test_a_fresh_and_a_moved_snapshot_of_metrics_keep_the_schema() -> None:
    moved = [
        Sample("skipped", 1, ("overload",)),
        Sample("camera_faults", 1, ("top", "camera_error")),
        Sample("inspect_seconds", Distribution().with_value(0.3)),
    ]
    for snapshot in (message([]), message(moved), examples.metrics()):
        valid("metrics", json.loads(json.dumps(snapshot)))


def test_the_schema_of_metrics_names_every_metric_and_its_labels() -> None:
    snapshot = examples.metrics()
    for metric in METRICS:
        missing = {name: value for name, value in snapshot.items() if name != metric.name}
        with pytest.raises(jsonschema.ValidationError, match=metric.name):
            valid("metrics", missing)
    for wrong in (
        {"frames": 3},
        {"verdicts": {"top": 3}},
        {"outbox_rows": {"top": 3}},
        {"inspect_seconds": 1},
    ):
        with pytest.raises(jsonschema.ValidationError):
            valid("metrics", {**snapshot, **wrong})


def test_the_schema_of_events_names_every_event() -> None:
    assert printed("event")["properties"]["event"]["examples"] == list(EVENT_NAMES)
