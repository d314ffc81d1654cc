"""What would change, by product, station and week: pure. The same for rows in any order, cut anyhow."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

from agent.remote.proof.document import Flips, OnMarks, Shift, VerdictWord
from agent.remote.proof.limits import is_flip, shift_of
from models.rescoring.row import Row, Status

By: TypeAlias = Literal["product", "station", "week"]
BYS: tuple[By, ...] = get_args(By)
OF_FRAMES = ("judged", "unscored")  # statuses of entries that were read
NAMED_SIZES = 100


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Verdicts(_Part):
    passes: int = Field(0, ge=0)
    fails: int = Field(0, ge=0)
    undecided: int = Field(0, ge=0)


class Changes(_Part):
    """Of frames that have something in common."""

    frames: int = Field(ge=0, description="that were judged again")
    unscored: int = Field(0, ge=0, description="sound entries that could not be: they count nowhere else")
    then: Verdicts
    now: Verdicts
    flips: Flips
    newly_decided: int = Field(0, ge=0, description="undecided then, pass or fail now: no flip")
    shift: Shift | None = Field(description="null where no frame was decided both times")
    marks: OnMarks = Field(
        description="results that people have marked, by what the new bundle makes of them"
    )


class Group(_Part):
    by: By
    name: str
    changes: Changes


class Cell(_Part):
    """One product at one station in one week."""

    product: str
    station: str
    week: str
    changes: Changes


class OddSize(_Part):
    """Frames of a camera that are not as wide, or not of the colours, that most of its frames are."""

    station: str
    camera: str
    width: int
    channels: int
    frames: int
    usual_width: int
    usual_channels: int
    first_file: str


class Report(_Part):
    """`plumbline.rescored/1`: archives of stations, judged again by a new bundle."""

    schema_: Literal["plumbline.rescored/1"] = Field("plumbline.rescored/1", alias="schema")
    at: str = Field(description="when it was made: UTC, RFC 3339")
    bundle: str
    bundle_sha256: str
    archives: int
    files: Mapping[Status, int] = Field(description="every file that was found, by what became of it")
    engines: Mapping[str, int] = Field(description="that judged now, and how many frames")
    bundles_then: Mapping[str, int] = Field(description="digests of those that judged then")
    without_rules: int = Field(description="frames of older versions, judged by default rules")
    odd_sizes: tuple[OddSize, ...] = Field(max_length=NAMED_SIZES)
    odd_frames: int = Field(description="frames of such sizes, all of them")
    all: Changes
    groups: tuple[Group, ...]
    cells: tuple[Cell, ...]


@dataclass(slots=True)
class Tally:
    """Rows of one group, as they come."""

    unscored: int = 0
    verdicts: Counter[tuple[VerdictWord, VerdictWord]] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    shifts: array[float] = field(default_factory=lambda: array("d"))

    def see(self, row: Row) -> None:
        if row.then_verdict is None or row.now_verdict is None:
            self.unscored += 1
            return
        self.verdicts[row.then_verdict, row.now_verdict] += 1
        if row.shift is not None:
            self.shifts.append(row.shift)
        if row.mark is not None:
            self.marks[row.becomes or "not_judged"] += 1

    def changes(self) -> Changes:
        flips = {
            f"to_{word}": sum(
                count for (then, now), count in self.verdicts.items() if now == word and is_flip(then, now)
            )
            for word in get_args(VerdictWord)
        }
        return Changes(
            frames=self.verdicts.total(),
            unscored=self.unscored,
            then=_verdicts(self.verdicts, 0),
            now=_verdicts(self.verdicts, 1),
            flips=Flips(**flips),
            newly_decided=sum(
                count
                for (then, now), count in self.verdicts.items()
                if then == "undecided" and now != "undecided"
            ),
            shift=shift_of(self.shifts),
            marks=OnMarks(**self.marks),
        )


def report_of(rows: Iterable[Row], *, at: str, bundle: str, bundle_sha256: str, archives: int) -> Report:
    """Each row is looked at once; of frames only their shifts are kept."""
    files: Counter[Status] = Counter()
    engines: Counter[str] = Counter()
    bundles_then: Counter[str] = Counter()
    sizes = Sizes()
    cells: dict[tuple[str, str, str], Tally] = {}
    without_rules = 0
    for row in rows:
        files[row.status] += 1
        if row.status not in OF_FRAMES:
            continue
        key = row.product or "", row.station or "", row.week or ""
        cells.setdefault(key, Tally()).see(row)
        bundles_then[row.then_bundle or ""] += 1
        without_rules += row.rules_kept is False
        if row.now_engine is not None:
            engines[row.now_engine] += 1
        sizes.see(row)
    odd = sizes.odd()
    return Report(
        at=at,
        bundle=bundle,
        bundle_sha256=bundle_sha256,
        archives=archives,
        files=_sorted(files),
        engines=_sorted(engines),
        bundles_then=_sorted(bundles_then),
        without_rules=without_rules,
        odd_sizes=tuple(odd[:NAMED_SIZES]),
        odd_frames=sum(one.frames for one in odd),
        all=together(cells.values()).changes(),
        groups=tuple(
            Group(by=by, name=name, changes=together(own).changes())
            for number, by in enumerate(BYS)
            for name, own in sorted(_split(cells, number).items())
        ),
        cells=tuple(
            Cell(product=product, station=station, week=week, changes=cells[product, station, week].changes())
            for product, station, week in sorted(cells)
        ),
    )


def together(tallies: Iterable[Tally]) -> Tally:
    """As if one had seen the rows of all."""
    whole = Tally()
    for one in tallies:
        whole.unscored += one.unscored
        whole.verdicts.update(one.verdicts)
        whole.marks.update(one.marks)
        whole.shifts.extend(one.shifts)
    return whole


class Sizes:
    """Which frames are not of the size that their camera mostly has: lines may differ, as parts do."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], Counter[tuple[int, int]]] = {}
        self._first: dict[tuple[str, str, int, int], str] = {}

    def see(self, row: Row) -> None:
        camera, size = (row.station or "", row.camera or ""), (row.width or 0, row.channels or 0)
        self._seen.setdefault(camera, Counter())[size] += 1
        key = (*camera, *size)
        self._first[key] = min(row.file, self._first.get(key, row.file))

    def odd(self) -> list[OddSize]:
        """By station and camera; where two sizes are as frequent, the larger is the usual one."""
        found = []
        for (station, camera), counts in sorted(self._seen.items()):
            usual = max(counts, key=lambda size: (counts[size], size))
            for size in sorted(counts.keys() - {usual}):
                key = (station, camera, *size)
                found.append(
                    OddSize(
                        station=station,
                        camera=camera,
                        width=size[0],
                        channels=size[1],
                        frames=counts[size],
                        usual_width=usual[0],
                        usual_channels=usual[1],
                        first_file=self._first[key],
                    )
                )
        return found


def _split(cells: Mapping[tuple[str, str, str], Tally], number: int) -> dict[str, list[Tally]]:
    found: dict[str, list[Tally]] = {}
    for key, tally in cells.items():
        found.setdefault(key[number], []).append(tally)
    return found


def _verdicts(counts: Counter[tuple[VerdictWord, VerdictWord]], side: int) -> Verdicts:
    of = Counter[str]()
    for pair, count in counts.items():
        of[pair[side]] += count
    return Verdicts(passes=of["pass"], fails=of["fail"], undecided=of["undecided"])


def _sorted(counts: Counter[Status] | Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
