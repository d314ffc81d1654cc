"""What the room speaks of: rules, views, views that stay together, and what a rule remembers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agent.contract.part import By
from agent.contract.verdict import Verdict
from agent.messages import VerdictName

Key: TypeAlias = int | str  # trigger number or ticks; part id or bind_id
Doubt: TypeAlias = Literal["late_view", "seen_twice", "two_parts", "out_of_step", "encoder_back", "no_key"]

_PART = uuid.UUID("0d7f5d0e-6c1c-4b76-9a35-0c8a6c0a2f4e")  # namespace of part verdicts' ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which views are of one part: one of each camera, by what they have in common."""

    name: str
    by: By
    cameras: tuple[str, ...]
    timeout_ns: int  # for a part's views to be captured, and, from its first view on, to come
    window_ticks: int = 0  # by encoder: how far two views of one part may lie apart on the belt
    offsets: Mapping[str, int] = field(default_factory=dict)  # ticks from the rule's zero to each camera


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A committed verdict as far as its part needs it."""

    camera: str
    result_id: str
    sequence: int
    boot_id: str
    verdict: VerdictName
    reason: str | None
    score: float | None  # normalised
    defects: int
    frame_id: int
    epoch: int
    encoder: int | None
    part_id: str | None
    bind_id: str | None
    job_id: str | None
    is_partial: bool
    is_simulated: bool
    created: str
    captured_ns: int | None = None  # host monotonic clock; None where it was read back from the outbox
    committed_ns: int | None = None  # the same, when its record was durable


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Views that belong together, while others of the part may come."""

    key: Key | None  # None: of counters that are not in step
    views: tuple[View, ...]
    opened_ns: int
    doubt: Doubt | None = None
    aligning: bool = False  # by trigger: a view of it was brought to the others by time alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A part that was decided, remembered for views that come late."""

    key: Key
    cameras: tuple[str, ...]  # whose views it had
    result_id: str
    captured_ns: int | None  # of its first view
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a camera's counter said last."""

    count: int
    run: str = ""  # of the agent, and the connection in it
    offset: int | None = None  # by trigger: from the rule's numbers to this camera's; None: out of step
    captured_ns: int | None = None
    before_ns: int | None = None  # when the view before it was captured


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """By trigger: one part's counters, by which cameras are in step once each has shown its next view."""

    members: Mapping[str, Seen]  # of every camera of the rule
    first_ns: int  # captured
    last_ns: int
    passed: tuple[str, ...] = ()  # cameras whose next view came, and was captured well after


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """By encoder: it went back, or began again; not of every camera it is known which views came since."""

    told_ns: int  # when a view said so
    captured_ns: int | None  # and when that was captured
    past: tuple[str, ...]  # cameras whose views are known to have come since


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one rule knows."""

    last: int = 0  # sequence of the newest view
    groups: tuple[Group, ...] = ()  # open, oldest first
    told: tuple[Told, ...] = ()  # oldest first
    seen: Mapping[str, Seen] = field(default_factory=dict)
    trial: Trial | None = None
    back: Back | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of a rule, with what the rule was then."""

    rule: Rule
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Views of which nothing more is waited for."""

    key: Key | None
    views: tuple[View, ...]
    missing: tuple[str, ...]
    doubt: Doubt | None = None
    late_for: str | None = None

    @property
    def result_id(self) -> str:
        return part_id_of(self.views)


def part_id_of(views: Sequence[View]) -> str:
    """The id of the part verdict that names these views: no view is named by two."""
    return str(uuid.uuid5(_PART, views[0].result_id))


def view_of(verdict: Verdict, *, captured_ns: int | None = None, committed_ns: int | None = None) -> View:
    """Of a committed verdict."""
    return View(
        camera=verdict.camera,
        result_id=verdict.result_id,
        sequence=verdict.sequence,
        boot_id=verdict.boot_id,
        verdict=verdict.verdict,
        reason=verdict.reason,
        score=None if verdict.score is None else verdict.score.normalized,
        defects=len(verdict.defects),
        frame_id=verdict.frame.id,
        epoch=verdict.frame.epoch,
        encoder=verdict.frame.encoder,
        part_id=verdict.part_id,
        bind_id=verdict.bind_id,
        job_id=verdict.job_id,
        is_partial=verdict.is_partial,
        is_simulated=verdict.is_simulated,
        created=verdict.created,
        captured_ns=captured_ns,
        committed_ns=committed_ns,
    )
