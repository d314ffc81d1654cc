"""The messages of the AsyncAPI document: what each is, in words, by its schema and with an example."""

from __future__ import annotations

import base64
import json
from typing import Any

from agent.contract.arguments import COMMANDS
from agent.contract.chain import NAME
from agent.contract.commands import CODES
from agent.contract.desired import INSTALL_TYPE, MAX_DOCUMENT_BYTES, SETTINGS_TYPE, Desired
from agent.contract.payloads import CROP_HEADER_SCHEMA, CROP_SCHEMA, JSON, crop_header, encode
from agent.contract.row import Row
from agent.schemas import examples, remote_examples

CROP_PROPERTIES = {
    "result_id": "of the verdict that it belongs to",
    "crop_id": "unique for ever",
    "defect_index": "which of the verdict's defects it shows",
    "sha256": "of the payload",
    "bbox": "x,y,width,height of the cut in pixels of the original frame",
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "the id of what is told: result_id, event_id, mark_id, actuation_id, head_id or crop_id",
    "source": "the topic down to the station",
    "type": "the message's schema",
    "time": "when it was made",
}

Json = dict[str, Any]

BINDING = {"bindingVersion": "0.2.0"}


def sent() -> Json:
    """Those that the agent publishes, by the name of their topic."""
    told, cut = examples.verdict_message(), examples.crop_message()
    return {
        "verdict": {
            **_message("plumbline.verdict/1", "Verdict", "Exactly one for each trigger."),
            "description": _VERDICT,
            "traits": [{"$ref": "#/components/messageTraits/cloud_event"}],
            "examples": [{"headers": dict(told.properties), "payload": examples.plain(examples.verdict())}],
        },
        "crop": _crop(cut),
        "crop_header": {
            **_message(CROP_HEADER_SCHEMA, None, "What a crop's user properties say, as JSON."),
            "description": _CROP_HEADER,
            "payload": _placed(
                {"schema": CROP_HEADER_SCHEMA, "content_type": "of the crop", **_crop_headers()}
            ),
            "examples": [{"payload": json.loads(crop_header(cut))}],
        },
        "event": {
            **_message("plumbline.event/1", "EventMessage", "What people should know besides verdicts."),
            "traits": [{"$ref": "#/components/messageTraits/cloud_event"}],
            "examples": [{"payload": examples.plain(examples.event())}],
        },
        "mark": {
            **_message("plumbline.mark/1", "Mark", "What somebody says of a verdict: right or wrong."),
            "description": _MARK,
            "traits": [{"$ref": "#/components/messageTraits/cloud_event"}],
            "examples": [{"payload": examples.plain(examples.mark())}],
        },
        "head": {
            **_message("plumbline.head/1", "Head", "The end of the chain of records, signed."),
            "description": _HEAD,
            "traits": [{"$ref": "#/components/messageTraits/cloud_event"}],
            "examples": [{"payload": examples.plain(examples.head())}],
        },
        "actuation": {
            **_message(
                "plumbline.actuation/1", "Actuation", "What an output did for one part, and how late."
            ),
            "description": _ACTUATION,
            "traits": [{"$ref": "#/components/messageTraits/cloud_event"}],
            "examples": [{"payload": examples.plain(examples.actuation())}],
        },
        "part": {
            **_message("plumbline.part/1", "PartVerdict", "What several cameras say of one part together."),
            "description": _PART,
            "traits": [{"$ref": "#/components/messageTraits/cloud_event"}],
            "examples": [{"payload": examples.plain(examples.part())}],
        },
        "status": {
            **_message("plumbline.status/1", "Status", "How the station is; also its last will."),
            "examples": [{"payload": examples.plain(examples.status())}],
        },
        "metrics": {
            **_message("plumbline.metrics/1", "Metrics", "Every ten seconds; lost when nobody listens."),
            "examples": [{"payload": examples.metrics()}],
        },
        "reported": {
            **_message("plumbline.reported/1", "Reported", "What the station is, and what it was told last."),
            "examples": [{"payload": examples.plain(remote_examples.reported())}],
        },
    }


def desired() -> Json:
    """Those that say what a station is to be."""
    return {
        "desired_settings": _signed(
            "plumbline.desired-settings/1",
            SETTINGS_TYPE,
            "Other settings.",
            remote_examples.desired_settings(),
        ),
        "desired_bundle": _signed(
            "plumbline.desired-bundle/1", INSTALL_TYPE, "Another bundle.", remote_examples.desired_bundle()
        ),
    }


def _signed(name: str, payload_type: str, summary: str, example: Desired) -> Json:
    payload = base64.b64encode(encode(example)).decode()
    return {
        **_message(name, None, summary),
        "description": _ENVELOPE,
        "payload": {
            "type": "object",
            "required": ["payloadType", "payload", "signatures"],
            "properties": {
                "payloadType": {"const": payload_type, "description": "what the payload is; signed with it"},
                "payload": {
                    "type": "string",
                    "description": f"base64 of {name}; `plumbline schema` prints it",
                },
                "signatures": {
                    "description": "as many as the trust file asks for",
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["sig"],
                        "properties": {
                            "keyid": {"type": "string", "description": "a hint; nothing rests on it"},
                            "sig": {"type": "string", "description": "base64 of an Ed25519 signature"},
                        },
                    },
                },
            },
        },
        "examples": [
            {
                "payload": {
                    "payloadType": payload_type,
                    "payload": payload,
                    "signatures": [{"keyid": "", "sig": base64.b64encode(bytes(64)).decode()}],
                }
            }
        ],
    }


def _crop(cut: Row) -> Json:
    return {
        **_message(CROP_SCHEMA, None, "One defect, cut from the original pixels."),
        "contentType": cut.content_type,
        "description": "JPEG or PNG, see its ContentType. The verdict names it by `crop_id` and `sha256`.",
        "headers": _placed(_crop_headers()),
        "payload": {"type": "string", "format": "binary"},
        "examples": [{"headers": dict(cut.properties)}],
    }


def commands() -> Json:
    """One for each command."""
    return {f"{name}_command": _command(name) for name in COMMANDS}


def _command(name: str) -> Json:
    return {
        **_message("plumbline.command/1", f"{name}_command", (COMMANDS[name].__doc__ or "").strip()),
        "description": _COMMAND,
        "bindings": {
            "mqtt": {
                "correlationData": {"type": "string", "format": "binary"},
                "responseTopic": {"type": "string", "description": "below a prefix that the station allows"},
                **BINDING,
            }
        },
        "examples": [{"payload": remote_examples.command(name)}],
    }


def response() -> Json:
    """That answers any of them."""
    codes = "\n".join(f"- {code} `{kind}`" for kind, code in sorted(CODES.items(), key=lambda one: one[1]))
    return {
        **_message("plumbline.response/1", "Response", "What became of a command."),
        "description": f"{_CODE}\n\n{codes}\n\n{_DATA}",
        "examples": [{"payload": examples.plain(remote_examples.response())}],
    }


def _message(name: str, schema: str | None, summary: str) -> Json:
    payload = {} if schema is None else {"payload": {"$ref": f"#/components/schemas/{schema}"}}
    return {"name": name, "contentType": JSON, "summary": summary, **payload}


def cloud_event() -> Json:
    """The trait of messages that carry an event's attributes."""
    return {
        "headers": _texts(CLOUD_EVENT),
        "description": "Attributes of the CloudEvents MQTT binding 1.0.2, as user properties; MQTT 5 only.",
    }


def _crop_headers() -> dict[str, str]:
    return {**CROP_PROPERTIES, **CLOUD_EVENT}


def _placed(meanings: dict[str, str]) -> Json:
    texts = _texts(meanings)
    meaning = "place in the station's chain of records, the JSON that other records have as their member"
    texts["properties"][NAME] = {"type": "string", "description": meaning}
    return texts


def _texts(meanings: dict[str, str]) -> Json:
    properties = {name: {"type": "string", "description": meaning} for name, meaning in meanings.items()}
    return {"type": "object", "properties": properties, "required": list(meanings)}


_VERDICT = """\
`verdict` is pass, fail, undecided or skipped; undecided and skipped are never good. A replayed verdict has
`replayed: true` and the `result_id` it always had. `sequence` goes on over restarts of the agent
and past damage to its outbox: the event `outbox_set_aside` then names the numbers that were lost. It begins
again at 1, with a new `boot_id`, only when somebody removed the outbox."""

_MARK = """\
From the page, by a command of a person or by one of a system. `sequence` counts the station's marks without a
gap, and the one with the highest number of a `result_id` holds: one that says taken_back makes those before
void. `verdict` and what follows it are as they stand in the verdict, so that a mark can be read alone. A
station that begins again at 1 has lost its file of marks, or somebody has moved it away."""

_HEAD = """\
A DSSE 1.0.2 envelope with the payloadType application/vnd.plumbline.head+json around the JSON of
#/components/schemas/HeadStatement, signed with the station's key (Ed25519) every minute in which there was a
record, at the end of a shift and at a stop. It is a record itself, the one behind the `number` that it signs
for, and retained: the newest one stands at the broker.

Each record carries the link of the one before as `chain.previous`. Its own link is the SHA-256 over `segment`
(8 bytes), `previous` (32 bytes), `number` (8 bytes, the highest first) and the SHA-256 of the payload without
its last member `chain`; a verdict that was said again counts with `replayed: false`, and a crop by its
sha256. Where the links from a record on lead to the `link` that a head signs, the record is as the station
made it."""
_ACTUATION = """\
One for each part that an output rejected, and for each that it should have acted on and did not. A good part
that passed in time has none. `sequence` counts an output's messages without a gap by `boot_id`. A fail that
has no message here was on its way when the agent died: what the gate did with it is what the PLC did."""

_PART = """\
Where the settings have part rules: one for each part, and every verdict of a camera with a part rule is named
in the `views` of exactly one. `fail` if a view failed; else `undecided` if one is missing, undecided or
skipped, or it is in doubt whose it is; else `pass`. `sequence` counts the station's part verdicts without a
gap, apart from verdicts. A view that came too late for its part has one of its own, with `late_for`. Verdicts
come on their own topic all the same, and mostly before."""

_CROP_HEADER = """\
Only where the station speaks MQTT 3.1.1, whose messages have no properties: it comes beside the crop, in
any order and perhaps more than once. Header and crop belong together by `sha256`."""

_ENVELOPE = f"""\
A DSSE 1.0.2 envelope that keys of the station's trust file signed; `plumbline-lab fleet` makes it. At most
{MAX_DOCUMENT_BYTES} bytes. Retained, so that a station that was away finds it. Every one that comes is
answered on `config/reported`; an empty message is no instruction. A station's own document stands above
its groups'."""

_COMMAND = """\
Publish it without retain, with an `id` of its own and an `expires` soon. A ResponseTopic below an allowed
prefix and CorrelationData are honoured. One that comes again after it has run is answered with 409.

Where the station's trust file has keys with the role command, commands that change the station come in a
DSSE envelope of payloadType application/vnd.plumbline.command+json around a `plumbline.signed-command/1`:
`id`, `expires` and `args` as here, with `issuer`, `address` (station:SITE/AREA/LINE/STATION) and `name`.

A station takes 512 commands at a time. It lets an MQTT 5 broker send 16 before it acknowledges one; what
comes beyond the bound is answered with 429, and may be sent again with the same `id`. A message over
524288 bytes ends the station's connection. MQTT 3.1.1 does not tell that a message is retained unless it
was there before the subscription: a retained command to a connected station then runs once, and its copy
in the broker is refused at each connection."""

_CODE = """\
`code` is 200; 202 while it is being done, when another answer follows: the first one with another code is the
last and alone says how it ended; or one of these with `data.kind`:"""

_DATA = "\n".join(f"`data` of `{name}`: {asked.answer}." for name, asked in COMMANDS.items())
