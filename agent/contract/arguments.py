"""What each command may be told: one model for each name, which is held to the letter.

A command is a model and its row in COMMANDS, and what it does: a function and its row in
`agent/remote/verbs.py`. Schemas, the AsyncAPI document, what is subscribed to and the command line follow
from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)

MAXIMUM_REPLAY = 100_000
MAXIMUM_RESULTS = 500
UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
MAXIMUM_WORD = 128
MAXIMUM_WAIT_S = 3600.0


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Arguments(Strict):
    """Of one command. Its docstring says what the command does; both class variables are for documents."""

    example: ClassVar[Mapping[str, JsonValue]]
    answer: ClassVar[str]  # what `data` of its answer has


class Ping(Arguments):
    """Answer, and do nothing else."""

    example = {}
    answer = "nothing"


class Replay(Arguments):
    """Publish delivered verdicts again, flagged as replayed."""

    example = {"from_sequence": 184_200, "to_sequence": 184_222}
    answer = (
        "of the numbers that were asked for, how many are `replayed` (published once more), how many are "
        "`waiting` (not delivered before, or queued once more already), and which are `gone`: a list of "
        "[first, last], of numbers that the station does not have any more, or never had. With `gone_beyond` "
        "the list was too long and ends at that number"
    )

    from_sequence: int = Field(ge=1, description="the first one")
    to_sequence: int = Field(ge=1, description="the last one, included")

    @model_validator(mode="after")
    def _in_order_and_bounded(self) -> Replay:
        if self.to_sequence < self.from_sequence:
            raise ValueError(f"to_sequence {self.to_sequence} is before from_sequence {self.from_sequence}")
        if self.to_sequence - self.from_sequence >= MAXIMUM_REPLAY:
            raise ValueError(f"more than {MAXIMUM_REPLAY} sequences at a time; ask in parts")
        return self


class Ack(Arguments):
    """The MES has these results in its own store; they need not wait here any longer."""

    example = {"result_ids": ["0193586b-3f14-7c3e-9a55-6b1d2f0a7c11"]}
    answer = "how many were `confirmed`"

    result_ids: Annotated[
        list[Annotated[str, Field(pattern=UUID)]],
        Field(min_length=1, max_length=MAXIMUM_RESULTS, description="`result_id` of each stored verdict"),
    ]


def _printable(word: str) -> str:
    if not word.isprintable() or word != word.strip():
        raise ValueError("printable characters only, and no blank at either end")
    return word


Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAXIMUM_WORD), AfterValidator(_printable)]


class Bind(Arguments):
    """Have the records of what comes next say which part it is, and of which order.

    Wait for the answer before the part's trigger. A new part takes the place of the one before, used or not.
    """

    example = {
        "camera": "top",
        "part_id": "SN-004711",
        "job_id": "WO-77",
        "product": "M-100-5BB",
        "timeout_s": 5.0,
    }
    answer = "for which `cameras`"

    camera: str | None = Field(None, description="one of the station's; left out or null: all of them")
    part_id: Word | None = Field(None, description="null: no part any more; left out: as it was")
    job_id: Word | None = Field(
        None, description="holds until it is changed; null: no order any more; left out: as it was"
    )
    product: Word | None = Field(
        None,
        description="whose recipe judges, by its name or one of its `products`; holds until it is changed; "
        "null: no product any more; left out: as it was",
    )
    applies_to: Literal["next_trigger", "window", "until_changed"] = Field(
        "next_trigger", description="which triggers are the part: one, all for `timeout_s`, or all"
    )
    timeout_s: float = Field(
        10.0,
        ge=0.1,
        le=MAXIMUM_WAIT_S,
        description="how long the next trigger may take to come, or how long the window lasts",
    )

    @model_validator(mode="after")
    def _binds_something(self) -> Bind:
        if not self.model_fields_set & {"part_id", "job_id", "product"}:
            raise ValueError("give part_id, job_id or product, or several of them")
        for key in ("applies_to", "timeout_s"):
            if key in self.model_fields_set and self.part_id is None:
                raise ValueError(f"{key} is said of a part; give part_id or leave {key} out")
        if self.applies_to == "until_changed" and "timeout_s" in self.model_fields_set:
            raise ValueError("timeout_s ends what until_changed does not; leave one of them out")
        return self


COMMANDS: dict[str, type[Arguments]] = {"ping": Ping, "replay": Replay, "ack": Ack, "bind": Bind}

CommandName: TypeAlias = Annotated[str, WithJsonSchema({"enum": [*COMMANDS], "type": "string"})]
