"""What the desk answers: done, under way, or why not."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from agent.contract.commands import ACCEPTED, CODES, Accepted, Progress, RefusalKind, Rejected, Response
from agent.remote.commands.asked import Data

LOGGED_CHARACTERS = 200  # of one value in an answer


def brief(data: Data) -> Data:
    """What a log line is for: no picture."""
    return {name: value for name, value in data.items() if len(repr(value)) <= LOGGED_CHARACTERS}


def done(accepted: Accepted, data: Data) -> Response:
    message = "done"
    if data.get("gone"):
        message += "; what is gone this station does not have any more, or never had"
    if not accepted.expiry_checked:
        message += "; when it expires was not looked at, because this station's clock is not synchronised"
    return _response(accepted, 200, message, data)


def under_way(accepted: Accepted, progress: Progress) -> Response:
    """Another answer follows."""
    return _response(accepted, ACCEPTED, progress.message, progress.data)


def _response(accepted: Accepted, code: int, message: str, data: Data) -> Response:
    return Response(
        id=accepted.command.id,
        name=accepted.command.name,
        code=code,
        message=message,
        data=data,
        expiry_checked=accepted.expiry_checked,
    )


def failed(accepted: Accepted, error: Exception) -> Rejected:
    message = f"it could not be done: {error}"[:500].encode(errors="replace").decode()
    return not_done(accepted, "failed", message, {})


def not_done(accepted: Accepted, kind: RefusalKind, message: str, data: Mapping[str, JsonValue]) -> Rejected:
    return Rejected(
        code=CODES[kind],
        kind=kind,
        message=message,
        reply_to=accepted.reply_to,
        correlation_data=accepted.correlation_data,
        id=accepted.command.id,
        name=accepted.command.name,
        data=data,
        expiry_checked=accepted.expiry_checked,
    )
