"""Settings of the archive: where judged frames are kept, which, and how long."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from agent.settings.section import Section as _Section


class Archive(_Section):
    """Judged frames on disk; without a folder none are kept."""

    folder: Path | None = None
    max_bytes: int = Field(10_000_000_000, ge=100_000_000)
    min_free_bytes: int = Field(1_000_000_000, ge=0)
    days: float = Field(30.0, gt=0, le=3660)
    pass_share: float = Field(0.01, ge=0, le=1)
    keep_longest: Literal["rejects", "newest"] = "rejects"
