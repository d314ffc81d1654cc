"""The JSON Schemas of what crosses the border, made from the models that make the messages.

What leaves the agent may gain fields inside a major version, so its schemas leave room for them;
what comes in is held to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from agent.contract.arguments import COMMANDS
from agent.contract.chain import LINK_BYTES, NAME, SEGMENT_BYTES
from agent.contract.commands import Request
from agent.contract.events import EVENT_NAMES
from agent.contract.metrics import METRICS, Metric
from agent.contract.verdict import REASONS
from agent.settings.settings import Settings

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NAME = "name and major version of this message"
CHAINED = ("Verdict", "PartVerdict", "EventMessage", "Mark", "Actuation", "Head")  # messages of the outbox


class BothDrafts(GenerateJsonSchema):
    """What JSON Schema 2020-12 and draft 7 read alike; AsyncAPI 3.0 reads draft 7."""

    def tuple_schema(self, schema: core_schema.TupleSchema) -> Schema:
        """Raises TypeError for a tuple of several types, which the two write differently."""
        made = super().tuple_schema(schema)
        each = made.pop("prefixItems", None)
        if each is None:
            return made
        if any(one != each[0] for one in each):
            raise TypeError(f"a tuple of several types cannot be published, give it a model: {each}")
        return {**made, "items": each[0]}


def named(schema: Schema) -> Schema:
    """A schema that stands alone and says its draft."""
    return {"$schema": DRAFT, **schema}


def settings() -> Schema:
    """The schema of the settings file."""
    return named(_alike(Settings.model_json_schema(by_alias=True, schema_generator=BothDrafts)))


def outgoing(model: type[BaseModel]) -> Schema:
    """The schema for readers of what we send."""
    made = model.model_json_schema(by_alias=True, schema_generator=BothDrafts)
    return named(_with_chain(_with_names(_alike(_with_room(made)))))


def incoming(model: type[BaseModel]) -> Schema:
    """The schema for writers of what we take."""
    return named(_alike(model.model_json_schema(by_alias=True, schema_generator=BothDrafts)))


def metrics() -> Schema:
    """The schema of `plumbline.metrics/1`, from the table of metrics."""
    properties: Schema = {"schema": {"description": _NAME, "const": "plumbline.metrics/1"}}
    for metric in METRICS:
        properties[metric.name] = {"description": _described(metric), **_shape(metric)}
    return {"title": "Metrics", "type": "object", "properties": properties, "required": list(properties)}


def command() -> Schema:
    """The schema of `plumbline.command/1`: `args` is what one of the commands takes."""
    made = Request.model_json_schema(by_alias=True, schema_generator=BothDrafts)
    definitions = {
        model.__name__: model.model_json_schema(schema_generator=BothDrafts) for model in COMMANDS.values()
    }
    described = made["properties"]["args"]["description"]
    choice = [{"$ref": f"#/$defs/{name}"} for name in definitions]
    made["properties"]["args"] = {"description": described, "anyOf": choice}
    return named({**_alike(made), "$defs": definitions})


def components(sent: Sequence[type[BaseModel]]) -> Schema:
    """Every model of `sent`, the metrics and every command, below #/components/schemas."""
    place = "#/components/schemas/{model}"
    _, made = models_json_schema(
        [(model, "validation") for model in sent],
        by_alias=True,
        schema_generator=BothDrafts,
        ref_template=place,
    )
    models: Schema = _with_chain(_with_names(_alike(_with_room(made["$defs"]))))
    requests = {f"{name}_command": _request(name, place) for name in COMMANDS}
    return {**models, "Metrics": metrics(), **requests}


def _request(name: str, place: str) -> Schema:
    made = Request.model_json_schema(by_alias=True, schema_generator=BothDrafts, ref_template=place)
    made["title"] = f"Request of {name}"
    made["properties"]["args"] |= {
        "additionalProperties": False,
        **COMMANDS[name].model_json_schema(schema_generator=BothDrafts),
    }
    return made


def _described(metric: Metric) -> str:
    below = f" By {', then '.join(metric.labels)}." if metric.labels else ""
    return f"{metric.help}{below}"


def _shape(metric: Metric) -> Schema:
    shape = _distribution() if metric.kind == "histogram" else {"type": "number", "minimum": 0}
    for _ in metric.labels:
        shape = {"type": "object", "additionalProperties": shape}
    return shape


def _distribution() -> Schema:
    numbers = {
        "count": {"description": "how many values there were", "type": "integer"},
        "sum": {"description": "of all values", "type": "number"},
    }
    buckets = {
        "type": "object",
        "description": "all values up to the bound, which is the key",
        "additionalProperties": {"type": "integer"},
    }
    properties = {**numbers, "buckets": buckets}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _with_room(schema: Any) -> Any:
    """The same schema without any `additionalProperties: false`."""
    if isinstance(schema, dict):
        return {
            key: _with_room(value)
            for key, value in schema.items()
            if not (key == "additionalProperties" and value is False)
        }
    return [_with_room(one) for one in schema] if isinstance(schema, list) else schema


def _alike(schema: Any) -> Any:
    """The same, with what stands beside a reference put around it: draft 7 reads nothing beside one."""
    if isinstance(schema, dict):
        inside = {key: _alike(value) for key, value in schema.items()}
        if len(inside) > 1 and isinstance(inside.get("$ref"), str):
            return {"allOf": [{"$ref": inside.pop("$ref")}], **inside}
        return inside
    return [_alike(one) for one in schema] if isinstance(schema, list) else schema


def _with_chain(schemas: Schema) -> Schema:
    """With the place that the outbox writes into each record as it leaves."""
    for name in CHAINED:
        model = schemas if schemas.get("title") == name else schemas.get(name)
        if model is not None:
            model["properties"][NAME] = _place()
    return schemas


def _place() -> Schema:
    def hexadecimal(bytes_: int, description: str) -> Schema:
        return {"type": "string", "pattern": f"^[0-9a-f]{{{2 * bytes_}}}$", "description": description}

    properties = {
        "segment": hexadecimal(SEGMENT_BYTES, "of the chain; a new one begins when a file was mended"),
        "number": {
            "type": "integer",
            "minimum": 1,
            "description": "without a gap by segment, over records of every kind",
        },
        "previous": hexadecimal(LINK_BYTES, "link of the record before; zeros for the first of a segment"),
    }
    return {
        "type": "object",
        "description": "place in the station's chain of records; always the last member, and absent in "
        "records of before there was a chain",
        "properties": properties,
        "required": list(properties),
    }


def _with_names(schemas: Schema) -> Schema:
    """Every name that an event or a reason may bear today; a consumer must bear a new one."""
    event = schemas if schemas.get("title") == "EventMessage" else schemas.get("EventMessage")
    if event is not None:
        event["properties"]["event"] |= {"description": _list(EVENT_NAMES), "examples": list(EVENT_NAMES)}
    verdict = schemas if schemas.get("title") == "Verdict" else schemas.get("Verdict")
    if verdict is not None:
        reason = verdict["properties"]["reason"]
        today = {"description": _list(REASONS), "type": "string", "enum": list(REASONS)}
        later = {"description": "a name that comes later", "type": "string"}
        reason["anyOf"] = [today, later, {"type": "null"}]
    return schemas


def _list(meanings: Mapping[str, str]) -> str:
    names = [f"`{name}`: {meaning}" for name, meaning in meanings.items()]
    return "names there are today; more may come\n\n- " + "\n- ".join(names)
