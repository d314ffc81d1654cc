"""What each command may be told: one model for each name, which is held to the letter.

A command is a model here or in `judging.py`, its row in COMMANDS, and what it does: a function and its row in
`agent/remote/commands/verbs.py`. Schemas, the AsyncAPI document, what is subscribed to and the command
line follow from these.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, WithJsonSchema, model_validator

from agent.contract.judging import Calibrate, DecideAgain, InForce, MarkResult, Threshold, WhatIf
from agent.contract.strict import UUID, Arguments, Changing, Word

MAXIMUM_REPLAY = 100_000
MAXIMUM_RESULTS = 500
MAXIMUM_WAIT_S = 3600.0
MAXIMUM_PICTURE_BYTES = 180_000  # as base64 within 256 KiB, which is all that we take ourselves


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


class Pause(Changing):
    """Judge no trigger any more, across restarts too, until `resume`."""

    example = {"reason": "gripper is being changed", "who": "shift lead"}
    answer = "`paused`: `since`, `who` and `reason`, of the pause that was there already or of this one"

    reason: Word = Field(description="for people; stands in the status and in the record of each trigger")


class Resume(Changing):
    """Judge triggers again."""

    example = {"who": "shift lead"}
    answer = "`was_paused`: whether it was"


class OfCamera(Changing):
    """One of the station's cameras."""

    camera: Word = Field(description="one of the station's")


class Disable(OfCamera):
    """Close a camera and leave it closed, across restarts too, until `enable`."""

    example = {"camera": "top", "reason": "lens is dirty", "who": "shift lead"}
    answer = "`camera`, and `disabled`: `since`, `who` and `reason`, as they were or are"

    reason: Word = Field(description="for people; stands in the status")


class Enable(OfCamera):
    """Open a camera that was disabled."""

    example = {"camera": "top", "who": "shift lead"}
    answer = "`camera`, and `was_disabled`: whether it was"


class Snapshot(Arguments):
    """Give the latest picture of a camera, which its line has seen last."""

    example = {"camera": "top", "max_bytes": 64_000}
    answer = (
        "`camera`, `jpeg` (base64), `sha256` of the decoded bytes, `width` and `height` of the picture, "
        "`frame_width` and `frame_height` of the frame that it was made from, `captured` (UTC), `age_s`, and "
        "of its record `result_id`, `sequence`, `verdict` and `reason`"
    )

    camera: Word | None = Field(None, description="null: the station's only one")
    max_bytes: int = Field(
        64_000,
        ge=2_000,
        le=MAXIMUM_PICTURE_BYTES,
        description="of the JPEG, before base64; what is larger is given at lower quality, then smaller",
    )


class LogLevel(Changing):
    """Log more or less, until the agent starts anew or a time is over."""

    example = {"level": "debug", "for_s": 600.0}
    answer = "`level` now, `until` (UTC; null: until the agent starts anew), and `settings`: the level there"

    level: Literal["debug", "info", "warning", "error"] = Field(description="the lowest that is logged")
    for_s: float | None = Field(
        None, ge=1, le=86_400, description="seconds until that of the settings holds again; null: see above"
    )


class Doctor(Arguments):
    """Look at everything the station stands on, as `plumbline doctor` does."""

    example = {"family": "disk"}
    answer = (
        "`wrong` and `notes`: how many, `good` and `skipped`: how many, and `findings` that are wrong or to "
        "note, each with `family`, `check`, `state`, `words` and `remedy`; `left_out`: how many more"
    )
    says_progress = True

    family: Word | None = Field(None, description="only this family of checks; null: all")


class Install(Changing):
    """Fetch a bundle, prove it on this machine, serve with it, and go back where it is worse.

    It takes the document that could stand on `bundle/desired` as well.
    """

    example = {"document": '{"payloadType": "application/vnd.plumbline.bundle+json", "payload": "...", ...}'}
    answer = (
        "`transaction`, `state` (applied or unchanged) and `progress`; while it goes on `state` is "
        "downloading, verifying, proving, staged or probation"
    )
    says_progress = True

    document: str = Field(
        min_length=2,
        max_length=49_152,
        description="a signed envelope with a `plumbline.desired-bundle/1`, as JSON text, byte for byte",
    )


class Rollback(Changing):
    """Serve with the bundle before the one in force, or end the probation of a new one."""

    example = {"reason": "too many rejects since Monday", "who": "shift lead"}
    answer = "as of `install`; a probation that is ended is rolled_back"
    says_progress = True

    reason: Word = Field(description="for people; stands in the report")


class Cancel(Changing):
    """End the installation that is under way, before its bundle serves."""

    example = {"who": "shift lead"}
    answer = "`transaction`: which was ended"

    transaction: Word | None = Field(None, description="only this one; null: whichever is under way")


class SwitchRecipe(Changing):
    """Have another recipe judge from the next part on."""

    example = {"recipe": "cells-5x5"}
    answer = "`recipe` that judges from then on; null: what the settings say"

    recipe: Word | None = Field(None, description="as the settings name it; null: what the settings say")


COMMANDS: dict[str, type[Arguments]] = {
    "ping": Ping,
    "replay": Replay,
    "ack": Ack,
    "bind": Bind,
    "snapshot": Snapshot,
    "pause": Pause,
    "resume": Resume,
    "disable": Disable,
    "enable": Enable,
    "recipe": SwitchRecipe,
    "mark": MarkResult,
    "calibrate": Calibrate,
    "in_force": InForce,
    "what_if": WhatIf,
    "decide_again": DecideAgain,
    "threshold": Threshold,
    "install": Install,
    "rollback": Rollback,
    "cancel": Cancel,
    "log_level": LogLevel,
    "doctor": Doctor,
}

CommandName: TypeAlias = Annotated[str, WithJsonSchema({"enum": [*COMMANDS], "type": "string"})]
