"""What people and the MES are told of a rollout that has ended: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from agent.contract.events import Severity
from agent.foreign import stored
from agent.remote.rollout.transaction import Instruction, Record


class Tell(Protocol):
    """An event for people and MES, stored when this returns. Raises PlumblineError where it cannot be."""

    def __call__(self, event: str, severity: Severity, detail: str, **data: JsonValue) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`event` is None where whoever ended it knows."""

    event: str | None
    severity: Severity
    detail: str


def ending(new: Instruction, record: Record) -> Ending:
    """Of a transaction that is committed or has failed."""
    name = f"bundle {stored(new.target_id)} {new.target_sha256[:12]}"
    why = stored(record.errors[-1].message) if record.errors else "no reason was given"
    match record.outcome:
        case "applied":
            detail = f"{name} has stood its probation and stays"
            return Ending(event="rollout_committed", severity="info", detail=detail)
        case "rolled_back":
            detail = f"{name} was taken back: {why}"
            return Ending(event="rollout_rolled_back", severity="warning", detail=detail)
        case "unable_to_roll_back":
            detail = f"{name} was taken back, and no other bundle is whole: {why}"
            return Ending(event="rollout_rolled_back", severity="alarm", detail=detail)
        case "superseded" | "cancelled":
            return Ending(event=None, severity="info", detail=f"{name}: {why}")
        case _:
            detail = f"{name} does not serve here: {why}"
            return Ending(event="rollout_refused", severity="warning", detail=detail)


def data_of(new: Instruction, record: Record) -> dict[str, JsonValue]:
    """The same for programs."""
    return {
        "transaction": new.transaction,
        "bundle": stored(new.target_id),
        "sha256": new.target_sha256,
        "counter": new.counter,
        "outcome": record.outcome,
        "previous": record.previous,
    }
