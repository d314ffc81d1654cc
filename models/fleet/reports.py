"""What stations say of themselves, read with tolerance: members that we do not know are passed over."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.contract import strict_json
from agent.contract.strict_json import StrictJsonError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Problem(_Part):
    path: str | None = None
    message: str = ""


class Attempted(_Part):
    """What became of the last document of a kind."""

    issuer: str | None = None
    epoch: int | None = None
    counter: int | None = None
    envelope_sha256: str | None = None
    state: str
    code: int = 0
    errors: tuple[Problem, ...] = ()
    at: str | None = None
    sha256: str | None = None
    id: str | None = None
    progress: float | None = None

    @property
    def words(self) -> str:
        return "; ".join(f"{one.path}: {one.message}" if one.path else one.message for one in self.errors)


class ActiveSettings(_Part):
    version: int
    sha256: str
    source: str
    issuer: str | None = None
    epoch: int | None = None
    counter: int | None = None


class SettingsPart(_Part):
    active: ActiveSettings
    effective_sha256: str
    attempted: Attempted | None = None


class ActiveBundle(_Part):
    id: str
    sha256: str


class BundlePart(_Part):
    active: ActiveBundle | None = None
    previous: ActiveBundle | None = None
    attempted: Attempted | None = None


class TrustPart(_Part):
    number: int
    epoch: int


class Report(_Part):
    """`plumbline.reported/1`, as far as a fleet's office needs it."""

    station: str
    boot_id: str
    reported_at: str
    sequence: int
    groups: tuple[str, ...] = ()
    settings: SettingsPart
    bundle: BundlePart
    trust: TrustPart | None = None


class Status(_Part):
    """`plumbline.status/1`."""

    state: str
    reason: str | None = None


_Read = TypeVar("_Read", bound=_Part)


def read(kind: type[_Read], payload: bytes) -> _Read | None:
    """None for what is no such message."""
    try:
        return kind.model_validate_json(json.dumps(strict_json.parse(payload)))
    except (StrictJsonError, ValidationError):
        return None
