"""What an output hears of a part, and what becomes of it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.contract.actuation import Action, Cause
from agent.messages import VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What an output's settings ask for."""

    by: Literal["encoder", "time"]
    distance: int  # from camera to gate: ticks, or ns
    window: int  # in front of the gate: ticks, or ns
    rejects: frozenset[VerdictName]
    when_late: Literal["reject", "pass"]
    pulse_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A part that the camera saw."""

    frame_id: int
    captured_ns: int
    encoder: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided of it, durably, and the record that says so."""

    frame_id: int
    verdict: VerdictName
    at_ns: int
    result_id: str
    part_id: str | None = None
    part_result_id: str | None = None  # where several cameras see the part
    is_simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A part that was to be rejected and has no picture of the output's camera: nobody knows where it is."""

    verdict: VerdictName
    part_id: str | None
    part_result_id: str
    is_simulated: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of a part at the gate."""

    frame_id: int
    action: Action
    cause: Cause
    decision: Decision | None
    due_ns: int | None
    acted_ns: int | None = None  # when the gate had answered; None where it was not moved
    is_late: bool = False  # the answer came after the deadline, or the verdict did
    merged: bool = False  # into a pulse that was already there
    is_estimated: bool = False  # the encoder was reset while it was on its way
    detail: str | None = None
