"""Settings of the pictures of defects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.settings.section import Section as _Section


class Crops(_Section):
    max_per_verdict: int = Field(4, ge=0, le=16)
    margin_px: int = Field(16, ge=0, le=1024)
    max_bytes: int = Field(120_000, ge=2_000, le=10_000_000)
    format: Literal["jpeg", "png"] = "jpeg"
    every_nth_pass: int = Field(0, ge=0, le=1_000_000)
