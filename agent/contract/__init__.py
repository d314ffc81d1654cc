"""What the station promises to others, printed by `plumbline schema`: JSON Schemas and AsyncAPI."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from agent.contract.events import EventMessage
from agent.contract.payloads import Status
from agent.messages import Verdict
from agent.schemas import asyncapi
from agent.schemas import json_schemas as schemas

Contract: TypeAlias = Literal["settings", "verdict", "event", "status", "metrics", "command", "asyncapi"]


def printed(what: Contract) -> dict[str, Any]:
    """The document by the name that the command line gives it."""
    match what:
        case "settings":
            return schemas.settings()
        case "verdict":
            return schemas.outgoing(Verdict)
        case "event":
            return schemas.outgoing(EventMessage)
        case "status":
            return schemas.outgoing(Status)
        case "metrics":
            return schemas.named(schemas.metrics())
        case "command":
            return schemas.command()
        case "asyncapi":
            return asyncapi.document()
