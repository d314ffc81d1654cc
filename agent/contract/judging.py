"""What commands about verdicts and thresholds may be told, one model for each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from agent.contract.label import LONGEST_LABEL, Label
from agent.contract.strict import UUID, Arguments, Changing, Digest, RawScore, Word

LOWEST_TARGET = 1e-6  # of false rejects: a part in a million, of a million parts


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
