"""Of one command that is being done: who asked and when, its steps, and what it answers."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import JsonValue

from agent.contract.commands import Progress
from agent.contract.judging import MarkResult
from agent.contract.strict import Changing

Data: TypeAlias = Mapping[str, JsonValue]  # `data` of the answer
Steps: TypeAlias = Generator[Progress | None, None, Data]

NOBODY = "somebody who did not say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """When a command arrived (monotonic clock), its id, and who signed it."""

    arrived_ns: int
    id: str
    issuer: str | None = None
    way: Literal["page", "command"] = "command"

    def by(self, asked: Changing | MarkResult) -> str:
        """For the record: a signature counts, words are what somebody says."""
        return self.issuer or asked.who or NOBODY
