"""The document is valid AsyncAPI 3.0, says what the code does, and its examples keep its schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.contract.arguments import COMMANDS
from agent.contract.commands import CODES, Accepted
from agent.contract.inbound import Inbound
from agent.contract.topics import TOPICS, Topics, group_desired
from agent.remote.commands.admission import admit
from agent.schemas import examples, remote_examples
from agent.schemas.asyncapi import PREFIX, document

OFFICIAL = Path(__file__).resolve().parents[2] / "data" / "asyncapi-3.0.0.json"
STATION = {"site": "s", "area": "a", "line": "l", "station": "st"}
GROUPS = "plumbline/v1/groups/{group}/"
DOCUMENT = document()


def resolved(reference: str) -> Any:
    """What `#/a/b` points to."""
    place: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [one for inner in value.values() for one in references(inner)]
    return [one for inner in value for one in references(inner)] if isinstance(value, list) else []


def holds(schema: dict[str, Any], instance: Any) -> None:
    """Raises unless `instance` keeps `schema`, whose references point into the document."""
    root = {"allOf": [schema], "components": DOCUMENT["components"]}
    jsonschema.Draft7Validator(root).validate(instance)


def with_traits(message: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for trait in message.get("traits", []):
        merged.update(resolved(trait["$ref"]))
    return {**merged, **message}


def test_the_official_schema_finds_nothing_wrong() -> None:
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    found = jsonschema.Draft7Validator(official).iter_errors(DOCUMENT)
    problems = [f"{error.json_path}: {error.message[:200]}" for error in found]
    assert problems == []


def test_the_official_schema_would_find_something_wrong() -> None:
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    broken = json.loads(json.dumps(DOCUMENT))
    broken["operations"]["send_verdict"]["bindings"]["mqtt"]["qos"] = 7
    assert list(jsonschema.Draft7Validator(official).iter_errors(broken))


def test_every_reference_leads_somewhere() -> None:
    assert references(DOCUMENT)
    for reference in references(DOCUMENT):
        resolved(reference)


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_every_example_keeps_the_schema_of_its_message(name: str) -> None:
    message = with_traits(DOCUMENT["components"]["messages"][name])
    assert message["examples"]
    for example in message["examples"]:
        if "payload" in example:
            holds(message["payload"], example["payload"])
        if "headers" in example:
            holds(message["headers"], example["headers"])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_one_that_runs(name: str) -> None:
    inbound = Inbound(
        topic=examples.TOPICS.cmd(name),
        payload=json.dumps(remote_examples.command(name)).encode(),
        retained=False,
    )
    asked = admit(
        inbound,
        examples.TOPICS,
        now=examples.WHEN,
        clock_synced=True,
        seen=lambda _: False,
        allowed=lambda _: True,
    )
    assert isinstance(asked, Accepted)


@pytest.mark.parametrize(
    ("change", "broken"),
    [("args", {"from_sequence": 0, "to_sequence": 1}), ("id", ""), ("schema", "x"), ("more", 1)],
)
def test_the_schema_of_a_command_is_strict(change: str, broken: object) -> None:
    wrong = {**remote_examples.command("replay"), change: broken}
    with pytest.raises(jsonschema.ValidationError):
        holds({"$ref": "#/components/schemas/replay_command"}, wrong)


def test_addresses_are_the_topics_of_the_code() -> None:
    topics = Topics(**STATION)
    channels = {
        name: one["address"].format(**STATION, camera="top", name="ping", group="press", rule="housing")
        for name, one in DOCUMENT["channels"].items()
    }
    assert channels == {
        "verdict": topics.verdict("top"),
        "crop": topics.crop("top"),
        "crop_header": topics.crop_header("top"),
        "event": topics.event(),
        "mark": topics.mark(),
        "head": topics.head(),
        "actuation": topics.actuation(),
        "part": topics.part("housing"),
        "status": topics.status(),
        "metrics": topics.metrics(),
        "reported": topics.reported(),
        "desired_config": topics.desired("config"),
        "desired_bundle": topics.desired("bundle"),
        "desired_config_of_group": group_desired("config", "press"),
        "desired_bundle_of_group": group_desired("bundle", "press"),
        **{f"cmd_{name}": topics.cmd(name) for name in COMMANDS},
        "bundle_get": topics.bundle_get(),
        "bundle_data": topics.bundle_data(),
        "rsp": topics.rsp("ping"),
    }


def test_every_address_declares_exactly_the_parameters_it_has() -> None:
    for channel in DOCUMENT["channels"].values():
        assert channel["address"].startswith((PREFIX, GROUPS))
        for name in channel["parameters"]:
            assert f"{{{name}}}" in channel["address"]
        assert channel["address"].count("{") == len(channel["parameters"])


def test_bindings_are_the_deliveries_of_the_code() -> None:
    for name in ("verdict", "crop", "crop_header", "event", "status", "metrics", "reported"):
        bindings = DOCUMENT["operations"][f"send_{name}"]["bindings"]["mqtt"]
        assert (bindings["qos"], bindings["retain"]) == (TOPICS[name].qos, TOPICS[name].retain)


def test_the_codes_of_refusals_are_all_named() -> None:
    words = DOCUMENT["components"]["messages"]["response"]["description"]
    assert all(f"{code} `{kind}`" in words for kind, code in CODES.items())
