"""INTEGRATING.md names everything that the code says and takes, so that it cannot fall behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from agent.contract.actuation import CAUSES
from agent.contract.arguments import COMMANDS
from agent.contract.commands import ACCEPTED, CODES, COMMAND_TYPE, Response, SignedRequest
from agent.contract.events import EVENT_NAMES, EventMessage
from agent.contract.part import PART_REASONS
from agent.contract.payloads import Status
from agent.contract.topics import TOPICS
from agent.contract.verdict import REASONS
from agent.gateways import modbus, modbus_binding, opcua
from agent.gateways.opcua_binding import JOB, PART
from agent.gateways.opcua_fields import FIELDS as OPC_UA
from agent.gateways.opcua_fields import PART_FIELDS
from agent.gateways.webhook import NEVER, cloud_event_headers
from agent.outbox.replayed import RANGES, told
from agent.schemas import examples
from agent.schemas.printed import printed
from tests.documents.blocks import ROOT

TEXT = (ROOT / "INTEGRATING.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line[:1] == "|"
]
CODE = set(re.findall(r"`([^`\n]+)`", TEXT))


def fields(schema: dict[str, Any], part: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Path and description of every field below `part`."""
    for name, field in part.get("properties", {}).items():
        yield f"{prefix}{name}", field["description"]
        for many, inner in below(schema, field):
            yield from fields(schema, inner, f"{prefix}{name}{many}.")


def below(schema: dict[str, Any], field: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in (field, field.get("items", {}), *field.get("anyOf", []), *field.get("allOf", [])):
        if "$ref" in one:
            many = "[]" if one is field.get("items") else ""
            yield many, schema["$defs"][one["$ref"].rpartition("/")[2]]


VERDICT, OF_PART = printed("verdict"), printed("part")
FIELDS = [
    (name, words)
    for schema in (VERDICT, OF_PART)
    for name, words in fields(schema, schema)
    if (name, schema) != ("reason", VERDICT)
]


@pytest.mark.parametrize(("name", "words"), FIELDS, ids=[name for name, _ in FIELDS])
def test_every_field_of_a_verdict_and_a_part_stands_there_with_its_meaning(name: str, words: str) -> None:
    assert [f"`{name}`", words] in ROWS


def test_every_field_and_cause_of_an_actuation_is_named() -> None:
    names = {name for name, _ in fields(printed("actuation"), printed("actuation"))}
    said_of_all = {"schema", "created", "station", "detail", "is_simulated"}
    missing = (names - said_of_all | set(CAUSES)) - CODE
    assert missing == set()


@pytest.mark.parametrize("meanings", [REASONS, PART_REASONS, EVENT_NAMES], ids=["reason", "part", "event"])
def test_every_named_value_stands_there_with_its_meaning(meanings: dict[str, str]) -> None:
    assert [row for row in meanings.items() if [f"`{row[0]}`", row[1]] not in ROWS] == []


def test_every_topic_stands_there_with_its_delivery() -> None:
    rows = reversed(ROWS)  # the table of topics stands before that of commands, where `mark` is a name, too
    told = {row[0].strip("`").partition("/")[0]: row[1] for row in rows if len(row) == 3}
    for name, delivery in TOPICS.items():
        assert told[name].startswith(str(delivery.qos)), name
        assert (told[name] == f"{delivery.qos}, retained") == delivery.retain, name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_there_with_its_arguments(name: str) -> None:
    *_, row = [row for row in ROWS if row[0] == f"`{name}`" and len(row) == 3]  # behind the topics
    for argument in COMMANDS[name].model_fields:
        assert f"`{argument}`" in row[1]


def test_every_code_stands_there() -> None:
    told = {(row[0], row[1].strip("`")) for row in ROWS if row[0].isdigit()}
    assert {(str(code), kind) for kind, code in CODES.items()} <= told
    assert {(code, kind) for code, kind in told if kind in CODES} <= {(str(b), a) for a, b in CODES.items()}


def test_what_a_replay_may_answer_stands_there() -> None:
    many = told(1, 3 * RANGES, queued=0, there=range(1, 3 * RANGES, 2))
    assert many.data().keys() == {"replayed", "waiting", "gone", "gone_beyond"} <= CODE


def test_answers_events_and_statuses_are_named() -> None:
    assert set(Response.model_fields) - {"schema_"} <= CODE
    assert {"severity", "detail", "data", "event_id"} <= CODE & set(EventMessage.model_fields)
    states = printed("status")["properties"]["state"]["enum"]
    assert set(states) <= CODE and {"state", "reason"} <= set(Status.model_fields)


def test_the_modbus_map_is_the_one_of_the_code() -> None:
    lines = [line for line in (modbus.__doc__ or "").splitlines() if re.match(r"\| [\d-]+ ", line)]
    offsets = [[cell.strip() for cell in line.strip("|").split("|")][:3] for line in lines]
    told = [row[:3] for row in ROWS if row[:3] in offsets]
    assert told == offsets
    assert f"address {modbus.BLOCK_REGISTERS} n" in TEXT and f"{modbus.NO_AGE}: none" in TEXT


def test_the_registers_of_bindings_are_those_of_the_code() -> None:
    lines = [line for line in (modbus_binding.__doc__ or "").splitlines() if re.match(r"\| \d+", line)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(rows) == 11 and [row for row in rows if row not in ROWS] == []


def test_how_commands_are_signed_stands_there() -> None:
    assert {COMMAND_TYPE, "plumbline.signed-command/1", "bundle/desired"} <= CODE
    assert set(SignedRequest.model_fields) - {"schema_"} <= set(re.findall(r'"(\w+)":', TEXT))
    assert re.search(rf"^\| {ACCEPTED} \|", TEXT, re.MULTILINE)


def test_opc_ua_and_webhook_are_named() -> None:
    assert {f"top.{name}" for name in (PART, JOB)} | {PART, JOB} <= CODE
    assert {field.name for field in (*OPC_UA, *PART_FIELDS)} | {
        "Heartbeat",
        "Interlock",
        "Camera",
        "Rule",
        opcua.NAMESPACE,
    } <= CODE
    headers = set(cloud_event_headers(examples.crop_message())) - {"ce-specversion", "ce-id"}
    assert headers - {"ce-source", "ce-type", "ce-time"} <= CODE
    assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= CODE
    assert all(str(code) in TEXT for code in NEVER)
