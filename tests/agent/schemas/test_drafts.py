"""Every published schema says its draft, keeps it, describes all it has, and holds in every validator."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel

from agent.contract.verdict import REASONS
from agent.schemas import examples, remote_examples
from agent.schemas.asyncapi import document
from agent.schemas.json_schemas import DRAFT, BothDrafts
from agent.schemas.printed import printed

ROOT = Path(__file__).resolve().parents[3]
NAMES = ["verdict", "event", "status", "metrics", "command", "signed-command", "settings"]
MESSAGES = [name for name in NAMES if name != "settings"]
OF_ONE_DRAFT = {"prefixItems", "definitions", "additionalItems", "dependencies", "unevaluatedProperties"}
OF_ONE_DRAFT |= {"unevaluatedItems", "dependentRequired", "dependentSchemas", "$dynamicRef", "$recursiveRef"}
DOCUMENT = document()


def parts(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside `schema`, and where it stands; what is an example is none."""
    if isinstance(schema, dict):
        yield place, schema
        for key, value in schema.items():
            if key not in ("examples", "default", "enum", "const", "required"):
                yield from parts(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from parts(value, f"{place}/{number}")


def given(name: str) -> list[Any]:
    """Instances that keep the schema of this name."""
    match name:
        case "metrics":
            return [examples.metrics()]
        case "command":
            return [remote_examples.command(one) for one in ("ping", "replay", "ack")]
        case "settings":
            texts = [ROOT / "config/agent.yaml", ROOT / "config/sites/example.yaml"]
            return [yaml.safe_load(text.read_text(encoding="utf-8")) for text in texts]
        case "signed-command" | "reported" | "desired-settings" | "desired-bundle":
            return [examples.plain(getattr(remote_examples, name.replace("-", "_"))())]
        case _:
            return [examples.plain(getattr(examples, name)())]


def harmed(name: str, instance: Any) -> list[Any]:
    """Instances that do not."""
    wrong: list[Any] = [[], None, {**instance, "schema": 7}]
    if name == "verdict":
        for box in ([1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, "4"], {"x": 1}, 7, [1, 2, 3, None]):
            broken = json.loads(json.dumps(instance))
            broken["defects"][0]["bbox_px"] = box
            wrong.append(broken)
    return wrong


def validators(schema: dict[str, Any]) -> list[Any]:
    """Four answers to whether an instance keeps a schema: two programs, two drafts."""
    bare = {key: value for key, value in schema.items() if key != "$schema"}
    return [
        jsonschema.Draft202012Validator(schema).is_valid,
        jsonschema.Draft7Validator(bare).is_valid,
        jsonschema_rs.Draft202012Validator(schema).is_valid,
        jsonschema_rs.Draft7Validator(bare).is_valid,
    ]


def extracted(name: str) -> dict[str, Any]:
    """A schema as somebody cuts it out of the AsyncAPI document."""
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_says_its_draft_and_keeps_the_schema_of_schemas(name: str) -> None:
    schema = printed(name)  # type: ignore[arg-type]
    assert next(iter(schema)) == "$schema" and schema["$schema"] == DRAFT
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema_rs.meta.is_valid(schema)
    jsonschema.Draft7Validator.check_schema({**schema, "$schema": "http://json-schema.org/draft-07/schema#"})


@pytest.mark.parametrize("name", NAMES)
def test_two_programs_and_two_drafts_agree(name: str) -> None:
    for says in validators(printed(name)):  # type: ignore[arg-type]
        for instance in given(name):
            assert says(instance)
            assert not any(says(wrong) for wrong in harmed(name, instance))


@pytest.mark.parametrize(
    ("name", "kind"), [("Verdict", "verdict"), ("EventMessage", "event"), ("Status", "status")]
)
def test_a_schema_cut_out_of_the_document_holds_in_them_too(name: str, kind: str) -> None:
    for says in validators(extracted(name)):
        (instance,) = given(kind)
        assert says(instance)
        assert not any(says(wrong) for wrong in harmed(kind, instance))


@pytest.mark.parametrize("name", NAMES + list(DOCUMENT["components"]["schemas"]))
def test_no_keyword_belongs_to_one_draft_alone(name: str) -> None:
    schema = printed(name) if name in NAMES else DOCUMENT["components"]["schemas"][name]  # type: ignore[arg-type]
    for place, part in parts(schema):
        is_schema = not place.endswith(("/properties", "/$defs"))
        if is_schema:
            assert not OF_ONE_DRAFT & set(part), place
            assert not isinstance(part.get("items"), list), place
            assert "$ref" not in part or len(part) == 1, place


def test_a_tuple_of_several_types_is_never_published() -> None:
    class Mixed(BaseModel):
        pair: tuple[int, str]

    with pytest.raises(TypeError, match="give it a model"):
        Mixed.model_json_schema(schema_generator=BothDrafts)


def undescribed(schema: Any) -> list[str]:
    return [
        f"{place}/{name}"
        for place, part in parts(schema)
        if place.endswith("/properties") or place == "/properties"
        for name, field in part.items()
        if not str(field.get("description", "")).strip()
    ]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_of_every_message_is_described(name: str) -> None:
    assert undescribed(printed(name)) == []  # type: ignore[arg-type]


def test_every_field_of_every_message_of_the_document_is_described() -> None:
    assert undescribed(DOCUMENT["components"]) == []


def test_a_field_without_a_description_would_be_found() -> None:
    class Bare(BaseModel):
        a_field: int

    assert undescribed(Bare.model_json_schema()) == ["/properties/a_field"]


def test_a_reason_is_one_of_todays_names_or_any_later_one() -> None:
    for schema in (printed("verdict"), DOCUMENT["components"]["schemas"]["Verdict"]):
        named, later, nothing = schema["properties"]["reason"]["anyOf"]
        assert named["enum"] == list(REASONS) and all(f"`{name}`" in named["description"] for name in REASONS)
        assert (later["type"], nothing["type"]) == ("string", "null")
    said = examples.plain(examples.verdict())
    for says in validators(printed("verdict")):
        for reason in (*REASONS, "weather", None):
            assert says({**said, "reason": reason})
        assert not says({**said, "reason": 7})


def reasons_in(code: str) -> set[str]:
    """The reasons that calls in `code` give to a record."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {"FrameFault": [], "without_picture": node.args[1:2], "_undecided": node.args[:1]}.get(called)
        if given is None:
            continue
        given += [word.value for word in node.keywords if word.arg == "reason"]
        found |= {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def test_every_reason_that_the_code_gives_is_named() -> None:
    given = {name for file in (ROOT / "agent").rglob("*.py") for name in reasons_in(file.read_text("utf-8"))}
    assert {"overload", "camera_error", "lost_lines", "not_finite"} <= given
    assert given <= set(REASONS)
