"""Whether a Sparkplug primary host application is there, by what it says of itself on its STATE topic. Pure.

A host's death is a will that was set with its birth, so it bears the birth's timestamp; one that bears
an older timestamp is of an earlier session, and came late. (Sparkplug 3.0.0)
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """The last word that counts; before the first one a host is not there."""

    online: bool = False
    timestamp_ms: int = 0


class _State(BaseModel):
    """The payload of STATE; a host may say more."""

    online: bool
    timestamp: int = Field(ge=0)

    model_config = ConfigDict(strict=True)


def heard(known: HostState, payload: bytes) -> HostState:
    """What is known after a STATE message. Raises ValueError for what is none."""
    said = _State.model_validate_json(payload)
    if said.timestamp < known.timestamp_ms:
        return known
    return HostState(online=said.online, timestamp_ms=said.timestamp)
