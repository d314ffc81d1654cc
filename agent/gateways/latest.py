"""What sinks that show the present need of a batch: the last verdict of each camera and of each part rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from agent.contract.part import SCHEMA, PartVerdict
from agent.contract.row import Waiting
from agent.contract.verdict import Verdict
from agent.gateways.gateway import Unacceptable


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What rows say, in their order; `refusal`: the row that could not be read, before which it ends."""

    verdicts: Sequence[Verdict]  # that are not replayed
    parts: Sequence[PartVerdict]
    refusal: Unacceptable | None

    def of_cameras(self) -> dict[str, Verdict]:
        """The last verdict of each."""
        return {verdict.camera: verdict for verdict in self.verdicts}

    def of_rules(self) -> dict[str, PartVerdict]:
        """The last part verdict of each part rule."""
        return {part.rule: part for part in self.parts}


def batch(rows: Sequence[Waiting]) -> Batch:
    """The verdicts and part verdicts among `rows`."""
    verdicts, parts = list[Verdict](), list[PartVerdict]()
    for waiting in rows:
        try:
            if waiting.row.kind == "verdict":
                verdict = Verdict.model_validate_json(waiting.row.payload)
                verdicts += [] if verdict.replayed else [verdict]
            elif ("type", SCHEMA) in waiting.row.properties:
                parts.append(PartVerdict.model_validate_json(waiting.row.payload))
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            words = f"not a {waiting.row.kind} that this agent knows: {place}: {problem['msg']}"
            return Batch(verdicts=verdicts, parts=parts, refusal=Unacceptable(waiting, words))
    return Batch(verdicts=verdicts, parts=parts, refusal=None)


def created(verdict: Verdict | PartVerdict) -> datetime:
    """When the verdict was made."""
    return datetime.fromisoformat(verdict.created.replace("Z", "+00:00"))
