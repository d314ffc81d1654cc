"""What the teaching process is told, and what it says: one JSON object, and one a line."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.teach.state import Step


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Order(_Strict):
    """Which flow is to go on, and what judges."""

    schema_: Literal["plumbline.teach-order/1"] = Field("plumbline.teach-order/1", alias="schema")
    folder: str
    bundle_sha256: str  # that is in force
    engine: str  # that serves, by its name in a verdict
    trained: str | None = None  # the folder of a bundle that is taught in place of the one in force
    settings: dict[str, Any]  # those in force, with absolute paths


class Said(_Strict):
    """How far it is; or, last of all, that its steps are done, or why they are not."""

    step: Step = "check"
    done: int = 0
    of: int = 0
    words: str = Field("", max_length=2000)
    ended: Literal["no", "done", "look", "problem"] = "no"
