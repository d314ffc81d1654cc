"""What a station lets others change from afar, and what a change has to stand before it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from agent.settings.section import Host, Identifier, Section


class Proof(Section):
    """What a bundle has to stand on this machine before it serves."""

    frames: int = Field(200, ge=0, le=10_000)
    min_frames: int = Field(0, ge=0, le=10_000)
    max_flip_share: float = Field(0.01, ge=0, le=1)
    max_score_shift: float = Field(20.0, ge=0, le=100)
    timeout_s: float = Field(3600.0, ge=10, le=86_400)


class Probation(Section):
    """How long, and how well, a change has to run before it stays."""

    verdicts: int = Field(100, ge=1, le=100_000)
    seconds: float = Field(60.0, ge=1, le=86_400)
    max_error_rise: float = Field(0.02, ge=0, le=1)
    max_reject_shift: float = Field(0.1, gt=0, le=1)
    max_latency_ratio: float = Field(2.0, ge=1, le=1000)
    max_score_shift: float = Field(30.0, gt=0, le=200)
    max_standing_days: float | None = Field(None, gt=0, le=366)


class Download(Section):
    """Where the bytes of a bundle may come from."""

    ca_file: Path | None = None
    redirect_hosts: Annotated[tuple[Host, ...], Field(max_length=16)] = ()
    plain_http: bool = False


class Remote(Section):
    """Documents that are signed by the keys of `trust.file` may change this station."""

    groups: Annotated[tuple[Identifier, ...], Field(max_length=16)] = ()
    download: Download = Download()
    proof: Proof = Proof()
    probation: Probation = Probation()

    @field_validator("groups")
    @classmethod
    def _stand_once(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        for name in groups:
            if groups.count(name) > 1:
                raise ValueError(f"group {name!r} stands twice; name each once")
        return groups
