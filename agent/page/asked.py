"""What acts of the page are asked with; what is more, or wrong, is refused."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.contract.judging import Threshold
from agent.contract.strict import Digest
from agent.page.control import LONGEST_MIN
from agent.page.sources import TaughtBy, TaughtFrom
from agent.settings.recipes import MAX_CORNERS
from agent.settings.section import Identifier

MOST_PARTS = 5_000
MOST_NAMES = 100
PartName: TypeAlias = Annotated[str, Field(max_length=128)]


class Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OfResult(Asked):
    """What is no id is refused before a process is begun for it."""

    result_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Ignore(Asked):
    """A polygon in frame pixels, for the recipe that judged the picture it was drawn on."""

    camera: str = Field(max_length=64)
    recipe: str = Field(max_length=64)
    corners: list[
        tuple[Annotated[float, Field(ge=-1e7, le=1e7)], Annotated[float, Field(ge=-1e7, le=1e7)]]
    ] = Field(min_length=3, max_length=MAX_CORNERS)


class SetThreshold(Threshold):
    """Two people at two pages: the second is told that the first was quicker."""

    onto: Digest = Field(description="the settings that they looked at")


class Revert(Asked):
    snapshot: Digest


class LearnLabels(Asked):
    recipe: str = Field("default", max_length=64)


class UseLabels(LearnLabels):
    sha256: Digest | None = Field(description="of the set that was learned; null: defects have no labels")


class TakeControl(Asked):
    minutes: int = Field(15, ge=1, le=LONGEST_MIN)


class GiveBack(Asked):
    pass


class ByRate(Asked):
    """As `calibrate`, which changes nothing here: the threshold that it finds is set by an act of its own."""

    camera: str | None = Field(None, max_length=64)
    frames: int = Field(500, ge=20, le=5_000)
    false_reject_rate: float


class TeachBegin(Asked):
    product: Identifier
    source: TaughtFrom
    camera: str = Field("", max_length=64)
    parts: int = Field(ge=1, le=MOST_PARTS)
    target: float  # what no parts can promise is said by whoever promises
    preset: TaughtBy = ""
    minutes: float = Field(30.0, ge=1, le=10_080)  # that training may take


class TeachSort(Asked):
    take_out: list[PartName] = Field([], max_length=MOST_NAMES)
    keep: list[PartName] = Field([], max_length=MOST_NAMES)
    put_back: list[PartName] = Field([], max_length=MOST_NAMES)


class TeachActivate(Asked):
    """Two people at two pages: the second is told that the first was quicker."""

    onto: Digest


class Nothing(Asked):
    pass
