"""The ledger of a day: what the station committed against what the MES has, and why. Pure.

Wanted is that every record came, none twice, and that whatever is undecided, skipped or told as an event has
its reason in a hazard that was under way, or had just been.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.soak.plan import DEATHS, DISK, Kind

GRACE_S = 45.0  # back-offs take half a minute
BROKER: tuple[Kind, ...] = (
    "broker restarted",
    "broker killed",
    "disk full, no broker",
    "agent killed, no broker",
)
SETTINGS: tuple[Kind, ...] = ("settings from afar", "settings by file")
EVENTS: Mapping[str, tuple[Kind, ...]] = {  # what each may come from; of others every one is too many
    "crop_evicted": DISK,
    "spool_full": DISK,
    "spool_recovered": DISK,
    "no_subscriber": BROKER,
    "rollout_committed": ("bundle rolled out",),
    "rollout_refused": ("bundle refused",),
}
OF_THE_DAY = ("roll_map",)  # told whatever happens
REASONS: Mapping[str, tuple[Kind, ...]] = {  # of records that are undecided or skipped
    "camera_error": ("camera lost", *DEATHS, *SETTINGS),
    "lost_lines": ("camera lost", *DEATHS, *DISK, *SETTINGS),
    "overload": DISK,
    "stopped": (*DEATHS, *SETTINGS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A verdict, as the MES has it."""

    sequence: int
    result_id: str
    boot_id: str
    camera: str
    epoch: int
    frame_id: int
    reason: str | None
    at_s: float  # of the real clock, since the day began
    recorded_ms: float
    shared: int = 0  # triggers behind it that have no other record: of a long run without a picture
    crops: tuple[str, ...] = ()  # ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    sequence: int
    views: tuple[str, ...]  # result ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    name: str
    at_s: float
    detail: str
    crop: str | None = None  # id of the one that it tells the end of


@dataclass(frozen=True, slots=True, kw_only=True)
class Befell:
    """A hazard that was."""

    kind: Kind
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`faults` is empty where the ledger closes. What is told with its reason is no fault of it."""

    committed: int
    arrived: int
    lost: tuple[int, ...]
    doubled: tuple[int, ...]
    parts: int
    crops_named: int
    crops_evicted: int
    crops_kept: int
    unjudged: Mapping[str, int]  # by reason
    events: Mapping[str, int]
    faults: tuple[str, ...]
    unexplained: tuple[str, ...]  # events, and records that are undecided or skipped


def close(
    committed: int,
    records: Sequence[Record],
    parts: Sequence[Part],
    events: Sequence[Event],
    *,
    crops_kept: int,
    befell: Sequence[Befell],
) -> Account:
    """`committed` is the station's last sequence, `crops_kept` how many pictures the MES took."""
    counts = Counter(one.sequence for one in records)
    lost = tuple(number for number in range(1, committed + 1) if number not in counts)
    doubled = tuple(sorted(number for number, count in counts.items() if count > 1))
    named = {crop for one in records for crop in one.crops}
    evicted = {one.crop for one in events if one.crop is not None}
    faults = [
        *([f"{len(lost)} records lost, the first is {lost[0]}"] if lost else []),
        *([f"{len(doubled)} sequences twice, the first is {doubled[0]}"] if doubled else []),
        *(
            f"sequence {number}: nobody committed it"
            for number in sorted(counts)
            if not 1 <= number <= committed
        ),
        *_gaps_of_triggers(records),
        *_flaws_of_parts(parts, records),
    ]
    if len(named - evicted) > crops_kept:
        faults.append(
            f"crops: {len(named)} named, {len(evicted)} told as evicted, and only {crops_kept} came"
        )
    return Account(
        committed=committed,
        arrived=len({one.sequence for one in records}),
        lost=lost,
        doubled=doubled,
        parts=len(parts),
        crops_named=len(named),
        crops_evicted=len(named & evicted),
        crops_kept=crops_kept,
        unjudged=Counter(one.reason for one in records if one.reason is not None),
        events=Counter(one.name for one in events),
        faults=tuple(faults),
        unexplained=tuple(_unexplained(records, events, befell)),
    )


def _gaps_of_triggers(records: Iterable[Record]) -> Iterator[str]:
    """Within one connection to a camera every trigger has its record, or shares one that says so."""
    by_camera: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for one in sorted(records, key=lambda one: one.sequence):
        by_camera[one.boot_id, one.camera, one.epoch].append(one)
    for (_, camera, epoch), found in by_camera.items():
        for before, after in pairwise(found):
            if after.frame_id != before.frame_id + 1 + before.shared:
                yield (
                    f"camera {camera}, epoch {epoch}: trigger {after.frame_id} in record {after.sequence} "
                    f"comes after {before.frame_id} in record {before.sequence}"
                )


def _flaws_of_parts(parts: Sequence[Part], records: Iterable[Record]) -> Iterator[str]:
    """Their own sequence has no gap, and each names views that are there and that no other names."""
    counts = Counter(one.sequence for one in parts)
    known = {one.result_id for one in records}
    for number in range(1, max(counts, default=0) + 1):
        if counts[number] != 1:
            yield f"part {number}: {counts[number]} of it came"
    views = Counter(view for part in parts for view in part.views)
    yield from (f"view {view} stands in {count} parts" for view, count in views.items() if count > 1)
    yield from (f"view {view} of a part is no record" for view in views if view not in known)


def _unexplained(
    records: Iterable[Record], events: Iterable[Event], befell: Sequence[Befell]
) -> Iterator[str]:
    for event in events:
        kinds = EVENTS.get(event.name, ())
        if event.name not in OF_THE_DAY and not is_explained(kinds, event.at_s, befell):
            yield f"event {event.name} at {event.at_s:.0f} s: {event.detail}"
    for one in records:
        if one.reason is not None and not is_explained(REASONS.get(one.reason, ()), one.at_s, befell):
            yield f"record {one.sequence} of {one.camera} at {one.at_s:.0f} s: {one.reason}"


def is_explained(kinds: Sequence[Kind], at_s: float, befell: Iterable[Befell]) -> bool:
    """Whether one of these was under way then, or had just been."""
    return any(one.kind in kinds and one.began_s - 1 <= at_s <= one.ended_s + GRACE_S for one in befell)
