"""What each command may be told: one model for each name, which is held to the letter.

A command is a model and its row in COMMANDS, and what it does: a function and its row in
`agent/remote/commands/verbs.py`. Schemas, the AsyncAPI document, what is subscribed to and the command
line follow from these.
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

from agent.contract.label import LONGEST_LABEL, Label

MAXIMUM_REPLAY = 100_000
MAXIMUM_RESULTS = 500
UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
MAXIMUM_WORD = 128
MAXIMUM_WAIT_S = 3600.0
MAXIMUM_PICTURE_BYTES = 180_000  # as base64 within 256 KiB, which is all that we take ourselves
LOWEST_TARGET = 1e-6  # of false rejects: a part in a million, of a million parts


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Arguments(Strict):
    """Of one command. Its docstring says what the command does; `example` and `answer` are for documents."""

    example: ClassVar[Mapping[str, JsonValue]]
    answer: ClassVar[str]  # what `data` of its answer has
    changes_station: ClassVar[bool] = False  # must be signed where trust.file has keys for commands
    says_progress: ClassVar[bool] = False  # answered with 202 at once, and while it is being done


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


Digest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RawScore: TypeAlias = Annotated[float, Field(ge=1e-6, le=1e6)]


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


class Changing(Arguments):
    """Of a command that changes the station."""

    changes_station = True

    who: Word | None = Field(
        None, description="who asks, for the record; of a signed command its issuer counts; null: not told"
    )


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


class Calibrate(Changing):
    """Propose the threshold that new good parts exceed at a given rate, from good frames in the archive.

    Good are frames that passed, and those that people marked as false alarms. Of the latter the share counts
    that would have been kept of passes (`archive.pass_share`), so that they weigh no more.
    """

    example = {"camera": "top", "frames": 500, "false_reject_rate": 0.001}
    answer = (
        "`threshold`, `interval` (95 %), `frames` and `false_alarms` among them, `rate` that it keeps, "
        "`provisional`: true where they are too few for the rate that was asked for, `now`: the threshold in "
        "force, and `applied`. Further `worth`: how many independent parts they are; those of one minute "
        "are alike; `minutes`; `needed`, `missing`: for that rate on the average, and how many more frames; "
        "`needed_sure`: for 95 % certainty; `rejected` with `rejected_interval` (Wilson, 95 %): of these "
        "frames; `groups`: the same by camera, recipe and light; `tail`: a second opinion, or why there is "
        "none; `histogram` of their scores, `edges` and `counts`; `words`: all of it for people"
    )
    says_progress = True

    camera: Word | None = Field(None, description="only of this camera; null: of all")
    frames: int = Field(500, ge=20, le=5_000, description="so many of the newest good ones at most")
    false_reject_rate: float = Field(
        0.001, ge=LOWEST_TARGET, le=0.5, description="of good parts; 0.001 is one in 1000"
    )
    apply: bool = Field(
        False, description="true: propose it as judge.threshold, the way that desired settings go"
    )
    onto: Digest | None = Field(
        None,
        description="with apply: only while these settings are in force, by their digest; null: whichever",
    )

    @model_validator(mode="after")
    def _applies_to_all(self) -> Calibrate:
        if self.apply and self.camera is not None:
            raise ValueError("judge.threshold is of all cameras; leave camera or apply out")
        if self.onto is not None and not self.apply:
            raise ValueError("onto is said of what is applied; give apply or leave onto out")
        return self


class MarkResult(Arguments):
    """Say of a verdict that it is right or wrong, with a label; the newest word on a result holds.

    It changes nothing at once: teaching, the threshold and the proof of the next bundle learn from it. The
    same word again is answered with the mark that there is.
    """

    example = {
        "result_id": "0193586b-3f14-7c3e-9a55-6b1d2f0a7c11",
        "says": "right",
        "label": "scratch",
        "who": "shift lead",
    }
    answer = (
        "`mark`: the mark as it was kept and is published on `mark`, `was`: the one before on this result, "
        "or null, and `words` for people, also where the station has no picture of it any more"
    )

    result_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="of the verdict")
    says: Literal["right", "wrong", "taken_back"] = Field(
        description="of the verdict; an undecided one is wrong where it could have been decided; taken_back: "
        "nothing any more"
    )
    label: Label | None = Field(
        None,
        description=f"class of the defect, or of what was mistaken for one: 1 to {LONGEST_LABEL} letters, "
        "digits, blanks and _ - . + , ( )",
    )
    defect_index: int | None = Field(
        None, ge=0, le=100_000, description="only of this one of the verdict's defects; null: of all"
    )
    who: Word | None = Field(
        None, description="who says it, for the record; of a signed command its issuer counts; null: not told"
    )
    way: Literal["mqtt", "mes"] = Field("mqtt", description="mes: a system says it and not a person")

    @model_validator(mode="after")
    def _says_something(self) -> MarkResult:
        if self.says == "taken_back" and (self.label is not None or self.defect_index is not None):
            raise ValueError("label and defect_index are said with right or wrong; leave them out")
        return self


class InForce(Arguments):
    """Tell what judges: bundle, settings and thresholds."""

    example = {}
    answer = (
        "`bundle` and `settings`: their digests (sha256), `recipe`, and `thresholds`: the raw score at which "
        "a frame fails, by camera"
    )


class WhatIf(Arguments):
    """Tell what another threshold would have made of the results that are kept; nothing is changed."""

    example = {"threshold": 0.0352}
    answer = (
        "`results` that the bundle in force has decided, `rejects_now` and `rejects_then` among them; "
        "`rejected`, `passed`: those that would have been, and of these `missed`: rejects that people "
        "confirmed, `spared`: marked as false alarms, `caught`: marked as missed; each a `count` and the "
        "nearest 50 `ids`; `oldest`, `newest`; `histogram` of the scores, `edges` and `counts`; `words` for "
        "people, and `now`: the threshold in force"
    )
    says_progress = True

    threshold: RawScore = Field(description="raw score")
    camera: Word | None = Field(None, description="only of this camera; null: of all")
    results: int = Field(2_000, ge=1, le=20_000, description="so many of the newest ones at most")


class DecideAgain(Arguments):
    """Make one decision once more, from the archive's pixels and by the bundle and rules of then.

    It changes nothing and gives way to the line; one is made at a time.
    """

    example = {"result_id": "0193586b-3f14-7c3e-9a55-6b1d2f0a7c11"}
    answer = (
        "`reproduced`: whether all is as it was; `rows`, each with `what`, `then`, `now`, `difference`, "
        "`allowed` and `is_same`: score, threshold, verdict, map, each defect; `digests` of pixels, bundle "
        "and settings; `engine_then`, `engine_now`; `notes` for people"
    )
    says_progress = True

    result_id: str = Field(pattern=UUID, description="of a verdict whose picture the archive keeps")


class Threshold(Changing):
    """Set the raw score at which a frame fails, the way that desired settings go."""

    example = {"threshold": 0.0352, "onto": "9f" * 32, "who": "shift lead"}
    answer = "`threshold`, `was`: the one before, by camera, and `onto`: the digest of the settings before"

    threshold: RawScore | None = Field(
        description="as judge.threshold, of all cameras; null: the bundle's own"
    )
    onto: Digest | None = Field(
        None,
        description="only while these settings are in force, by their digest (`in_force` tells it): then "
        "nobody undoes what another has just done; null: whichever",
    )


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
