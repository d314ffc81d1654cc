"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

IDENTIFIER = r"^[a-z0-9_-]{1,64}$"
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]


class Section(BaseModel):
    """A mapping of known keys that never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
