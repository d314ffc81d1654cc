"""What agent and proof process say to each other: one order in, then lines of JSON out, the last is the end.

Everything that comes out is checked: a candidate has run in the process that says it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.errors import PlumblineError
from agent.remote.rollout.transaction import Proven

SCHEMA = "plumbline.proof/1"
MAX_LINE_BYTES = 256_000
MAX_TEXT = 2000
MAX_NAMED = 16  # frames that could not be read, and why
MAX_WORST = 8  # frames of which pictures are kept

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
StepName: TypeAlias = Literal["candidate", "incumbent", "frames", "pictures"]
VerdictWord: TypeAlias = Literal["pass", "fail", "undecided"]


class NotProven(PlumblineError):
    """The candidate does not serve here; `code` as of the rollout, `found` where it came so far."""

    def __init__(self, code: int, message: str, found: Found | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.found = found

    @property
    def proof(self) -> Proven | None:
        """In short, for the record of a rollout."""
        return None if self.found is None else self.found.brief()


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Order(_Part):
    """What is to be proven; the process reads it from standard input."""

    schema_: Literal["plumbline.proof/1"] = Field("plumbline.proof/1", alias="schema")
    parent: int  # process that wants it, and without which it ends
    candidate: str
    candidate_sha256: Sha256
    incumbent: str | None
    incumbent_sha256: Sha256 | None
    folder: str  # for pictures
    settings: dict[str, Any]  # those in force, with absolute paths


class Golden(_Part):
    """Of the candidate's own tiles on the engine that will serve it."""

    worst_tile_delta: float | None = Field(description="share of the threshold or of a score above it")
    tolerance: float | None


class Side(_Part):
    """A bundle that judged, and on what."""

    name: Text
    sha256: Sha256
    engine: Text | None = Field(description="and its precision; null where none takes it")


class Look(_Part):
    """What one bundle says of a frame."""

    verdict: VerdictWord
    reason: Text | None
    raw: float | None
    threshold: float | None
    normalized: float | None = Field(description="100 is its own threshold")


class Flips(_Part):
    """Verdicts of the candidate that differ from the incumbent's decision."""

    to_fail: int = Field(0, ge=0)
    to_pass: int = Field(0, ge=0)
    to_undecided: int = Field(0, ge=0)

    @property
    def all(self) -> int:
        return self.to_fail + self.to_pass + self.to_undecided


class Shift(_Part):
    """Of normalised scores, in hundredths of the threshold or of the larger score above it.

    Each bundle's score is taken by its own threshold: one that was moved alone is a shift, and one that
    moved with the scores is none.
    """

    median: float = Field(ge=0, le=100, description="of sizes, whatever their direction")
    worst: float = Field(ge=0, le=100)
    bias: float = Field(
        ge=-100, le=100, description="median with its sign: above 0 the candidate is stricter"
    )


class OnMarks(_Part):
    """Results that people have marked, by what the candidate makes of them."""

    kept_right: int = Field(0, ge=0)
    mended: int = Field(0, ge=0, description="was wrong, and would be right")
    newly_wrong: int = Field(0, ge=0, description="was right, and would be wrong")
    still_wrong: int = Field(0, ge=0)
    undecided: int = Field(0, ge=0, description="would not be decided")
    not_judged: int = Field(0, ge=0, description="picture or truth not known, or of another recipe")


class Worst(_Part):
    """A frame on which they differ most; pictures are names in the proof's folder."""

    result_id: Text
    camera: Text
    created: Text
    incumbent: Look
    candidate: Look
    pictures: dict[Literal["original", "incumbent", "candidate"], Text] = {}


class Unusable(_Part):
    """An entry of the archive that was not judged, and why."""

    id: Text
    why: Text


class Frames(_Part):
    """Of the archive, newest first."""

    wanted: int = Field(ge=0)
    judged: int = Field(0, ge=0)
    passes: int = Field(0, ge=0, description="by the incumbent")
    fails: int = Field(0, ge=0)
    undecided: int = Field(0, ge=0, description="by the incumbent: they can neither flip nor shift")
    passed_over: int = Field(0, ge=0, description="of cameras or recipes that the candidate would not judge")
    damaged: int = Field(0, ge=0)


class Found(_Part):
    """All that a proof found out; whether it is enough is decided by `limits`."""

    schema_: Literal["plumbline.proof/1"] = Field("plumbline.proof/1", alias="schema")
    at: Text = Field(description="when it was begun: UTC, RFC 3339, by the station's clock")
    candidate: Side
    incumbent: Side | None = Field(description="null: no bundle serves here")
    golden: Golden
    frames: Frames
    flips: Flips = Flips()
    shift: Shift | None = Field(None, description="null where both decided no frame")
    marks: OnMarks | None = Field(None, description="null: nobody has marked a result, or none was judged")
    unusable: tuple[Unusable, ...] = Field((), max_length=MAX_NAMED)
    worst: tuple[Worst, ...] = Field((), max_length=MAX_WORST)
    notes: tuple[Text, ...] = Field((), max_length=MAX_NAMED)
    refused: Text | None = Field(None, description="why it may not serve, by the settings of then")

    def brief(self) -> Proven:
        """For the record of a rollout."""
        return Proven(
            worst_tile_delta=self.golden.worst_tile_delta, flips=self.flips.all, frames=self.frames.judged
        )


class Step(_Part):
    """Where the process is."""

    kind: Literal["step"] = "step"
    step: StepName
    done: int = Field(0, ge=0)
    of: int = Field(0, ge=0)


class Refused(_Part):
    """Its end without a whole proof."""

    kind: Literal["refused"] = "refused"
    code: int = Field(ge=400, le=599)
    message: Text
    found: Found | None = None


class Done(_Part):
    """Its end."""

    kind: Literal["found"] = "found"
    found: Found


Said: TypeAlias = Annotated[Step | Refused | Done, Field(discriminator="kind")]
_SAID: TypeAdapter[Step | Refused | Done] = TypeAdapter(Said)


def said(line: bytes) -> Step | Refused | Done:
    """Raises ValueError for what no proof process says."""
    try:
        return _SAID.validate_json(line, strict=True)
    except (ValidationError, RecursionError) as error:
        raise ValueError("not a line of a proof") from error


def line_of(what: Step | Refused | Done) -> bytes:
    """For the other side."""
    return what.model_dump_json(by_alias=True).encode() + b"\n"
