"""Parts and orders by OPC UA: text variables that whoever may write binds by writing.

`BindPartId` and `BindJobId` below the station are for all cameras, `top.BindPartId` and `top.BindJobId` for
one. An empty text is no part, or no order, any more. A write that cannot be bound is answered with a bad
status, and the value before stays.
"""

from __future__ import annotations

from typing import Any

import structlog
from asyncua import Node, Server, ua
from pydantic import ValidationError

from agent.clock import Clock
from agent.contract.arguments import Bind
from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.gateways.binding import Binder

PART, JOB = "BindPartId", "BindJobId"
WRITER = "writer"  # name of the user who may

log = structlog.get_logger(__name__)


class WritersOnly:
    """A rule set of asyncua: nobody else writes anything."""

    def check_validity(self, user: Any, action_type: Any, body: Any) -> bool:
        write = ua.NodeId(ua.ObjectIds.WriteRequest_Encoding_DefaultBinary)
        return bool(action_type != write or (user is not None and user.name == WRITER))


async def add_binding(
    server: Server,
    folder: Node,
    index: int,
    *,
    camera: str | None,
    applies_to: str,
    bind: Binder,
    clock: Clock,
) -> None:
    """The two variables of a camera, or of all, below `folder`."""
    prefix = "" if camera is None else f"{camera}."
    for name, key in ((PART, "part_id"), (JOB, "job_id")):
        variable = await folder.add_variable(
            ua.NodeId(f"{prefix}{name}", index), ua.QualifiedName(name, index), "", ua.VariantType.String
        )
        await variable.set_writable()

        def written(node: Any, attribute: Any, value: ua.DataValue, key: str = key) -> None:
            text = None if value.Value is None else value.Value.Value
            said: dict[str, Any] = {"camera": camera, key: text or None}
            if key == "part_id" and text:
                said["applies_to"] = applies_to
            _bind(said, bind, clock)
            node.attributes[attribute].value = value

        server.iserver.aspace.set_attribute_value_setter(variable.nodeid, ua.AttributeIds.Value, written)


def _bind(said: dict[str, Any], bind: Binder, clock: Clock) -> None:
    """Raises a UaStatusCodeError."""
    try:
        bind(Bind.model_validate(said), clock.monotonic_ns())
    except ValidationError as error:
        log.warning("binding_refused", gateway="opcua", reason=error.errors()[0]["msg"])
        raise ua.uaerrors.BadOutOfRange from error
    except NotDoneError as error:
        log.warning("binding_refused", gateway="opcua", reason=str(error))
        raise ua.uaerrors.BadInvalidState from error
    except PlumblineError as error:
        log.error("binding_failed", gateway="opcua", reason=str(error))
        raise ua.uaerrors.BadInternalError from error
