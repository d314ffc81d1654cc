"""What the station promises to others, printed by `plumbline schema`: JSON Schemas and AsyncAPI."""

from __future__ import annotations

from typing import Any

from agent.contract.actuation import Actuation
from agent.contract.commands import SignedRequest
from agent.contract.desired import DesiredBundle, DesiredSettings
from agent.contract.events import EventMessage
from agent.contract.head import Head
from agent.contract.mark import Mark
from agent.contract.part import PartVerdict
from agent.contract.payloads import Status
from agent.contract.reported import Reported
from agent.contract.verdict import Verdict
from agent.schemas import asyncapi, json_schemas
from agent.schemas.contracts import Contract


def printed(what: Contract) -> dict[str, Any]:
    """The document by the name that the command line gives it."""
    match what:
        case "settings":
            return json_schemas.settings()
        case "verdict":
            return json_schemas.outgoing(Verdict)
        case "event":
            return json_schemas.outgoing(EventMessage)
        case "mark":
            return json_schemas.outgoing(Mark)
        case "head":
            return json_schemas.outgoing(Head)
        case "actuation":
            return json_schemas.outgoing(Actuation)
        case "part":
            return json_schemas.outgoing(PartVerdict)
        case "status":
            return json_schemas.outgoing(Status)
        case "metrics":
            return json_schemas.named(json_schemas.metrics())
        case "command":
            return json_schemas.command()
        case "signed-command":
            return json_schemas.incoming(SignedRequest)
        case "reported":
            return json_schemas.outgoing(Reported)
        case "desired-settings":
            return json_schemas.incoming(DesiredSettings)
        case "desired-bundle":
            return json_schemas.incoming(DesiredBundle)
        case "asyncapi":
            return asyncapi.document()
