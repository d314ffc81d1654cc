"""What sinks that show the present need of a batch: the last verdict of each camera."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from agent.contract.row import Waiting
from agent.contract.verdict import Verdict
from agent.gateways.gateway import Unacceptable


def verdicts(rows: Sequence[Waiting]) -> tuple[list[Verdict], Unacceptable | None]:
    """The verdicts among `rows` that are not replayed, until one that cannot be read; and why that cannot."""
    found: list[Verdict] = []
    for waiting in rows:
        if waiting.row.kind != "verdict":
            continue
        try:
            verdict = Verdict.model_validate_json(waiting.row.payload)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            return found, Unacceptable(
                waiting, f"not a verdict that this agent knows: {place}: {problem['msg']}"
            )
        if not verdict.replayed:
            found.append(verdict)
    return found, None


def latest(found: Sequence[Verdict]) -> dict[str, Verdict]:
    """The last verdict of each camera."""
    return {verdict.camera: verdict for verdict in found}


def created(verdict: Verdict) -> datetime:
    """When the verdict was made."""
    return datetime.fromisoformat(verdict.created.replace("Z", "+00:00"))
