"""What the arguments of commands are made of: models that are held to the letter, and words within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
MAXIMUM_WORD = 128


def _printable(word: str) -> str:
    if not word.isprintable() or word != word.strip():
        raise ValueError("printable characters only, and no blank at either end")
    return word


Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAXIMUM_WORD), AfterValidator(_printable)]
Digest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RawScore: TypeAlias = Annotated[float, Field(ge=1e-6, le=1e6)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Arguments(Strict):
    """Of one command. Its docstring says what the command does; `example` and `answer` are for documents."""

    example: ClassVar[Mapping[str, JsonValue]]
    answer: ClassVar[str]  # what `data` of its answer has
    changes_station: ClassVar[bool] = False  # must be signed where trust.file has keys for commands
    says_progress: ClassVar[bool] = False  # answered with 202 at once, and while it is being done


class Changing(Arguments):
    """Of a command that changes the station."""

    changes_station = True

    who: Word | None = Field(
        None, description="who asks, for the record; of a signed command its issuer counts; null: not told"
    )
