"""The JSON Schemas of what crosses the border, made from the models that make the messages.

What leaves the agent may gain fields inside a major version, so its schemas leave room for them;
what comes in is held to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from agent.status.metrics import METRICS, Metric
from agent.uplink.arguments import COMMANDS, CommandName
from agent.uplink.commands import Request
from agent.uplink.events import EVENT_NAMES

Schema = dict[str, Any]


class Draft7(GenerateJsonSchema):
    """JSON Schema draft 7, which is what AsyncAPI 3.0 reads: a tuple is an array of `items`."""

    def tuple_schema(self, schema: core_schema.TupleSchema) -> Schema:
        made = super().tuple_schema(schema)
        if "prefixItems" in made:
            made["items"] = made.pop("prefixItems")
        return made


def outgoing(model: type[BaseModel]) -> Schema:
    """The schema for readers of what we send."""
    return _with_event_names(_with_room(model.model_json_schema(by_alias=True)))


def metrics() -> Schema:
    """The schema of `plumbline.metrics/1`, from the table of metrics."""
    properties: Schema = {"schema": {"const": "plumbline.metrics/1"}}
    for metric in METRICS:
        properties[metric.name] = {"description": _described(metric), **_shape(metric)}
    return {"title": "Metrics", "type": "object", "properties": properties, "required": list(properties)}


def command() -> Schema:
    """The schema of `plumbline.command/1`: `args` is what one of the commands takes."""
    made = Request.model_json_schema(by_alias=True)
    definitions = {model.__name__: model.model_json_schema() for model in COMMANDS.values()}
    made["properties"]["args"] = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in definitions]}
    return {**made, "$defs": definitions}


def components(sent: Sequence[type[BaseModel]]) -> Schema:
    """Every model of `sent`, the metrics and every command, in draft 7, below #/components/schemas."""
    place = "#/components/schemas/{model}"
    _, made = models_json_schema(
        [(model, "validation") for model in sent],
        by_alias=True,
        schema_generator=Draft7,
        ref_template=place,
    )
    named: Schema = _with_event_names(_with_room(made["$defs"]))
    requests = {f"{name}_command": _request(name, place) for name in COMMANDS}
    return {**named, "Metrics": metrics(), **requests}


def _request(name: CommandName, place: str) -> Schema:
    made = Request.model_json_schema(by_alias=True, schema_generator=Draft7, ref_template=place)
    made["title"] = f"Request of {name}"
    made["properties"]["args"] = COMMANDS[name].model_json_schema(schema_generator=Draft7)
    return made


def _described(metric: Metric) -> str:
    below = f" By {', then '.join(metric.labels)}." if metric.labels else ""
    return f"{metric.help}{below}"


def _shape(metric: Metric) -> Schema:
    if metric.kind == "histogram":
        numbers = {"count": {"type": "integer"}, "sum": {"type": "number"}}
        buckets = {
            "type": "object",
            "description": "all values up to the bound, which is the key",
            "additionalProperties": {"type": "integer"},
        }
        properties = {**numbers, "buckets": buckets}
        return {"type": "object", "properties": properties, "required": list(properties)}
    shape: Schema = {"type": "number", "minimum": 0}
    for _ in metric.labels:
        shape = {"type": "object", "additionalProperties": shape}
    return shape


def _with_room(schema: Any) -> Any:
    """The same schema without any `additionalProperties: false`."""
    if isinstance(schema, dict):
        return {
            key: _with_room(value)
            for key, value in schema.items()
            if not (key == "additionalProperties" and value is False)
        }
    return [_with_room(one) for one in schema] if isinstance(schema, list) else schema


def _with_event_names(schemas: Schema) -> Schema:
    """Every name that an event may bear today, as examples: a consumer must bear a new one."""
    message = schemas if schemas.get("title") == "EventMessage" else schemas.get("EventMessage")
    if message is not None:
        names = [f"`{name}`: {meaning}" for name, meaning in EVENT_NAMES.items()]
        message["properties"]["event"] |= {
            "description": "names there are today; more may come\n\n- " + "\n- ".join(names),
            "examples": list(EVENT_NAMES),
        }
    return schemas
