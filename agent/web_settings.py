"""Settings of the web: how blocks of lines are corrected and become what is judged."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from agent.section import Section as _Section


class Web(_Section):
    """How the blocks of a line camera become the windows that are judged."""

    window_lines: int = Field(0, ge=0, le=65_536)
    max_invalid_ratio: float = Field(0.02, ge=0, le=1)


class FlatField(_Section):
    """Column correction from reference lines: out = (raw - dark) * gain."""

    dark: Path | None = None
    white: Path | None = None
    max_gain: float = Field(8.0, ge=1, le=16)

    @model_validator(mode="after")
    def _white_comes_first(self) -> FlatField:
        if self.dark is not None and self.white is None:
            raise ValueError("a dark reference needs a white one beside it; set white or remove dark")
        return self
