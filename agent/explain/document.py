"""By which evidence places of one frame differ from good parts, for people and programs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=2000)]
Name = Annotated[str, Field(max_length=40)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Evidence(_Part):
    """One kind of evidence at one place, in spreads above the mean of good parts."""

    kind: Name
    words: Text
    peak: float = Field(description="where the map is strongest")
    mean: float = Field(description="of all places of the defect")
    part: float = Field(description="of the map at the peak, 0 to 1, of what raises it")
    rarity: Text | None = Field(
        description="places of good parts that have as much, in words; null where nobody measured"
    )


class Profile(_Part):
    """Evidence along one line through the peak, from tile border to tile border."""

    start_px: float = Field(description="middle of the first place, in pixels of the frame")
    step_px: float
    map: tuple[float, ...] = Field(description="in percent of the threshold")
    kinds: dict[Name, tuple[float, ...]]


class Place(_Part):
    """A defect, or the strongest place of a frame that has none."""

    index: int | None = Field(description="of the defect in the verdict; null for a frame without one")
    bbox_px: tuple[int, int, int, int]
    peak_px: tuple[int, int]
    sentence: Text
    kinds: tuple[Evidence, ...]
    across: Profile
    down: Profile


class Explanation(_Part):
    """`plumbline.explained/1`: why one frame was judged as it was."""

    schema_: Literal["plumbline.explained/1"] = Field("plumbline.explained/1", alias="schema")
    result_id: Text
    camera: Text
    bundle: Text
    good_frames: int = Field(description="good parts that rarities come from; 0 where nobody measured them")
    places: tuple[Place, ...]
    notes: tuple[Text, ...] = ()
