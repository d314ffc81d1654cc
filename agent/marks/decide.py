"""What a mark is made of, and when it is refused: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from agent.archive.record import MarkWord
from agent.contract.commands import NotDoneError
from agent.contract.judging import MarkResult
from agent.contract.mark import Mark, Way, truth_of
from agent.contract.verdict import ScoreMessage, Verdict
from agent.foreign import stored
from agent.messages import VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A verdict as far as a mark repeats it; `defects` is None where it is not known how many there were."""

    result_id: str
    camera: str
    verdict: VerdictName
    sequence: int
    boot_id: str
    created: str
    recipe_id: str
    bundle_sha256: str
    part_id: str | None
    job_id: str | None
    score: ScoreMessage | None
    defects: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """By whom, when and where a mark is made."""

    mark_id: str
    boot_id: str
    station: str
    created: str
    who: str
    way: Way
    picture: Literal["kept", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A mark that is kept, and the one before on the same result."""

    mark: Mark
    was: Mark | None

    def data(self) -> Mapping[str, JsonValue]:
        """For an answer."""
        was = self.was
        return {
            "mark": self.mark.model_dump(mode="json", by_alias=True),
            "was": None if was is None else was.model_dump(mode="json", by_alias=True),
            "words": words(self.mark),
        }


def of_verdict(verdict: Verdict) -> Result:
    return Result(
        result_id=verdict.result_id,
        camera=verdict.camera,
        verdict=verdict.verdict,
        sequence=verdict.sequence,
        boot_id=verdict.boot_id,
        created=verdict.created,
        recipe_id=verdict.recipe_id,
        bundle_sha256=verdict.model.sha256,
        part_id=verdict.part_id,
        job_id=verdict.job_id,
        score=verdict.score,
        defects=len(verdict.defects),
    )


def of_mark(mark: Mark) -> Result:
    """Of a result that nobody else knows any more."""
    return Result(
        result_id=mark.result_id,
        camera=mark.camera,
        verdict=mark.verdict,
        sequence=mark.result_sequence,
        boot_id=mark.result_boot_id,
        created=mark.result_created,
        recipe_id=mark.recipe_id,
        bundle_sha256=mark.bundle_sha256,
        part_id=mark.part_id,
        job_id=mark.job_id,
        score=mark.score,
        defects=None,
    )


def decide(asked: MarkResult, result: Result, made: Made) -> Mark:
    """The mark, still without its number. Raises NotDoneError."""
    if result.verdict == "skipped":
        raise NotDoneError(
            "impossible", "that trigger was skipped: nobody looked, so nothing was right or wrong"
        )
    index, defects = asked.defect_index, result.defects
    if index is not None and defects is not None and index >= defects:
        raise NotDoneError(
            "bad_arguments", f"defect_index: {index}, and that verdict has {defects} defects, counted from 0"
        )
    truth = None if asked.says == "taken_back" else truth_of(result.verdict, asked.says, asked.label)
    return Mark(
        mark_id=made.mark_id,
        sequence=1,
        boot_id=made.boot_id,
        station=made.station,
        created=made.created,
        says=asked.says,
        truth=truth,
        label=asked.label,
        defect_index=index,
        who=stored(made.who),
        way=made.way,
        picture=made.picture,
        result_id=result.result_id,
        camera=result.camera,
        verdict=result.verdict,
        result_sequence=result.sequence,
        result_boot_id=result.boot_id,
        result_created=result.created,
        recipe_id=result.recipe_id,
        bundle_sha256=result.bundle_sha256,
        part_id=result.part_id,
        job_id=result.job_id,
        score=result.score,
    )


def says_the_same(one: Mark, other: Mark) -> bool:
    """Whether the second says nothing that the first has not said, by the same person."""
    names = ("result_id", "says", "label", "defect_index", "who")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def word_of(mark: Mark) -> MarkWord | None:
    """What the archive's entry says of it; None: nothing any more."""
    if mark.says == "taken_back":
        return None
    if mark.says == "right":
        return "confirmed"
    return "false_alarm" if mark.truth == "good" else "missed_defect"


def words(mark: Mark) -> str:
    """One sentence for people."""
    if mark.says == "taken_back":
        return "the mark was taken back"
    label = "" if mark.label is None else f" ({mark.label})"
    said = f"marked {mark.says}{label}"
    if mark.truth is not None:
        said += f": the part is {mark.truth}"
    if mark.picture == "gone":
        said += "; its picture is not kept any more, so it teaches nothing and counts in the record alone"
    return said
