"""The AsyncAPI 3.0 document of a station: every topic, message, quality of service, and an example each.

It is written from the agent's side: `send` is what the agent publishes, `receive` what it takes. What the
messages are is in `messages.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from agent.contract.actuation import Actuation
from agent.contract.arguments import COMMANDS
from agent.contract.commands import Response
from agent.contract.events import EventMessage
from agent.contract.head import Head, HeadStatement
from agent.contract.mark import Mark
from agent.contract.part import PartVerdict
from agent.contract.payloads import JSON, Status
from agent.contract.reported import Reported
from agent.contract.topics import TOPICS, TopicName
from agent.contract.verdict import Verdict
from agent.schemas import examples, json_schemas, messages, pieces, remote_examples
from agent.settings.settings import Mqtt

PREFIX = "plumbline/v1/{site}/{area}/{line}/{station}"
SENT: dict[TopicName, str] = {  # and the rest of the address
    "verdict": "verdict/{camera}",
    "crop": "crop/{camera}",
    "crop_header": "crop_header/{camera}",
    "event": "event",
    "mark": "mark",
    "head": "head",
    "actuation": "actuation",
    "part": "part/{rule}",
    "status": "status",
    "metrics": "metrics",
    "reported": "config/reported",
}
DESIRED = {  # name of the channel to its message, and the rest of the address
    "desired_config": ("desired_settings", f"{PREFIX}/config/desired"),
    "desired_bundle": ("desired_bundle", f"{PREFIX}/bundle/desired"),
    "desired_config_of_group": ("desired_settings", "plumbline/v1/groups/{group}/config/desired"),
    "desired_bundle_of_group": ("desired_bundle", "plumbline/v1/groups/{group}/bundle/desired"),
}
PARAMETERS = {
    "site": "the plant",
    "area": "a part of the plant",
    "line": "the production line",
    "station": "the inspection station; also its MQTT client id and the name in its certificate",
    "camera": "one of the station's cameras",
    "rule": "one of the station's part rules",
    "group": "stations that have it in `remote.groups` of their settings",
}

Json = dict[str, Any]


def document() -> Json:
    """The whole document as JSON."""
    broker = Mqtt()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Plumbline inspection station",
            "version": version("plumbline"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "plant": {
                "host": f"{broker.host}:{broker.port}",
                "protocol": "mqtt",
                "protocolVersion": "5",
                "description": "the plant's broker; `mqtt.host` and `mqtt.port` of the settings",
                "bindings": {"mqtt": messages.BINDING},
            }
        },
        "channels": {
            **_sent_channels(),
            **_desired_channels(),
            **pieces.channels(PREFIX),
            **_command_channels(),
            "rsp": _response_channel(),
        },
        "operations": {**_sending(), **_receiving(), **pieces.operations()},
        "components": {
            "schemas": json_schemas.components(
                (
                    Verdict,
                    EventMessage,
                    Mark,
                    PartVerdict,
                    Actuation,
                    Head,
                    HeadStatement,
                    Status,
                    Reported,
                    Response,
                    *pieces.MODELS,
                )
            ),
            "messages": {
                **messages.sent(),
                **messages.desired(),
                **pieces.messages(),
                **messages.commands(),
                "response": messages.response(),
            },
            "messageTraits": {"cloud_event": messages.cloud_event()},
            "parameters": {name: _parameter(name, meaning) for name, meaning in PARAMETERS.items()},
        },
    }


def _sent_channels() -> Json:
    return {name: _channel(f"{PREFIX}/{rest}", [name]) for name, rest in SENT.items()}


def _desired_channels() -> Json:
    return {name: _channel(address, [message]) for name, (message, address) in DESIRED.items()}


def _command_channels() -> Json:
    return {f"cmd_{name}": _channel(f"{PREFIX}/cmd/{name}", [f"{name}_command"]) for name in COMMANDS}


def _response_channel() -> Json:
    channel = _channel(f"{PREFIX}/rsp/{{name}}", ["response"])
    names = {"description": "of the command, or of what was asked in place of one", "examples": [*COMMANDS]}
    channel["parameters"]["name"] = names
    channel["description"] = _RSP
    return channel


def _channel(address: str, carries: Sequence[str]) -> Json:
    names = [name for name in PARAMETERS if f"{{{name}}}" in address]
    return {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in carries},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in names},
    }


def _sending() -> Json:
    return {
        f"send_{name}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
            "bindings": _delivery(name),
        }
        for name in SENT
    }


def _receiving() -> Json:
    documents = {
        f"receive_{name}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{message}"}],
            "bindings": _delivery("desired"),
        }
        for name, (message, _) in DESIRED.items()
    }
    return documents | {
        f"receive_{name}": {
            "action": "receive",
            "summary": (COMMANDS[name].__doc__ or "").strip(),
            "channel": {"$ref": f"#/channels/cmd_{name}"},
            "messages": [{"$ref": f"#/channels/cmd_{name}/messages/{name}_command"}],
            "bindings": _delivery("cmd"),
            "reply": {
                "channel": {"$ref": "#/channels/rsp"},
                "messages": [{"$ref": "#/channels/rsp/messages/response"}],
            },
        }
        for name in COMMANDS
    }


def _delivery(name: TopicName) -> Json:
    delivery = TOPICS[name]
    return {"mqtt": {"qos": delivery.qos, "retain": delivery.retain, **messages.BINDING}}


def _parameter(name: str, meaning: str) -> Json:
    of = examples.TOPICS
    named = {"camera": examples.CAMERA, "rule": examples.RULE, "group": remote_examples.GROUP}
    example = named.get(name) or str(getattr(of, name))
    return {"description": f"{meaning}; 1 to 64 of a-z, 0-9, _ and -", "examples": [example]}


_DESCRIPTION = """\
What an inspection station says and which commands it takes. Payloads are JSON, crops are pictures.

Fields are only added inside a major version: ignore what you do not know. Delivery is at least once, so
de-duplicate on `result_id`; `sequence` has no gap, so a missing number is a verdict that you have not got.

Schemas use what JSON Schema draft 7 and 2020-12 read alike, so that either kind of validator takes them."""

_RSP = """\
Used where the request names no ResponseTopic, or one that is not allowed. A command that there is not is
answered with 404 on the name it was asked by, or on `rsp/unknown` for a name that is not 1 to 64 of a-z, A-Z,
0-9, _, - and the full stop."""
