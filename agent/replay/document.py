"""What came of a decision that was made once more, for people and programs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.explain.document import Explanation

Text = Annotated[str, Field(max_length=2000)]
Value = str | float | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Digest(_Part):
    """Something that a decision rests on, by its SHA-256."""

    what: Literal["pixels", "bundle", "settings"]
    then: Text = Field(description="as the record names it")
    used: Text | None = Field(description="of what was used now; null where it is not at hand")
    in_force: Text | None = Field(None, description="by the settings file of now; null where nothing is")

    @property
    def is_same(self) -> bool:
        return self.used == self.then


class Row(_Part):
    """One value then and now. `allowed` is the largest difference that counts as none."""

    what: Text
    then: Value
    now: Value
    difference: float | None = None
    allowed: float | None = None
    is_same: bool


class Replayed(_Part):
    """`plumbline.replay/1`: one decision, made once more."""

    schema_: Literal["plumbline.replay/1"] = Field("plumbline.replay/1", alias="schema")
    result_id: Text
    camera: Text
    created: Text
    engine_then: Text
    engine_now: Text
    digests: tuple[Digest, ...]
    rows: tuple[Row, ...]
    notes: tuple[Text, ...] = ()
    reproduced: bool = Field(description="every digest that was used and every value is that of then")


class Answer(_Part):
    """Of the process: one of the three."""

    replayed: Replayed | None = None
    explained: Explanation | None = None
    problem: Text | None = None
