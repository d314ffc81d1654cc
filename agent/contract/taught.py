"""What `plumbline-lab teach --json` says, a line each: the plan, how far it is, and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SCHEMA = "plumbline-lab.teach-said/1"
Words: TypeAlias = Annotated[str, Field(max_length=4000)]
Lines: TypeAlias = Annotated[tuple[Words, ...], Field(max_length=1000)]


class _Line(BaseModel):
    """A newer workshop may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)
    schema_: Literal["plumbline-lab.teach-said/1"] = Field(alias="schema")


class Planned(_Line):
    """First of all: what it will do, and the seconds that it takes here."""

    kind: Literal["plan"]
    preset: Literal["nano", "edge"]
    images: int = Field(ge=1)
    seconds: float = Field(ge=0)
    lines: Lines


class Far(_Line):
    """`left_s`: by the pace of this run, or by the plan until it has one."""

    kind: Literal["far"]
    share: float = Field(ge=0, le=1.01)
    words: Words
    left_s: float


class Made(_Line):
    """Last of all. `held`: names of the good parts that nothing was fitted to."""

    kind: Literal["done"]
    bundle: Words
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    report: Words
    held: Lines
    lines: Lines


Line: TypeAlias = Annotated[Planned | Far | Made, Field(discriminator="kind")]
LINE: TypeAdapter[Planned | Far | Made] = TypeAdapter(Line)
