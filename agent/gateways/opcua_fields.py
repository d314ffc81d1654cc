"""What the OPC UA server shows of a verdict and of a part verdict, in the names of OPC 40001-101."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from asyncua import ua

from agent.contract.part import PartVerdict
from agent.contract.verdict import Verdict
from agent.gateways.latest import created

T = TypeVar("T", Verdict, PartVerdict)

COMPLETED, ABORTED = 1, 3  # OPC 40001-101 ResultStateEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Generic[T]):
    """One variable and event field."""

    name: str
    type: ua.VariantType
    value: Callable[[T], Any]


def result_state(verdict: Verdict) -> int:
    """ResultState: a trigger that was skipped was aborted."""
    return ABORTED if verdict.verdict == "skipped" else COMPLETED


def part_state(part: PartVerdict) -> int:
    """ResultState: no part is told before its views are there, or not waited for any more."""
    return COMPLETED


def _code(one: Verdict | PartVerdict) -> int:
    return one.result_evaluation_code


def _shared(state: Callable[[T], int]) -> tuple[Field[T], ...]:
    return (
        Field(name="ResultId", type=ua.VariantType.String, value=lambda one: one.result_id),
        Field(name="ResultEvaluation", type=ua.VariantType.Int32, value=_code),
        Field(name="ResultEvaluationCode", type=ua.VariantType.Int64, value=_code),
        Field(name="ResultState", type=ua.VariantType.Int32, value=state),
        Field(name="Reason", type=ua.VariantType.String, value=lambda one: one.reason or ""),
        Field(name="CreationTime", type=ua.VariantType.DateTime, value=lambda one: created(one)),
        Field(name="IsPartial", type=ua.VariantType.Boolean, value=lambda one: one.is_partial),
        Field(name="IsSimulated", type=ua.VariantType.Boolean, value=lambda one: one.is_simulated),
        Field(name="JobId", type=ua.VariantType.String, value=lambda one: one.job_id or ""),
        Field(name="PartId", type=ua.VariantType.String, value=lambda one: one.part_id or ""),
        Field(name="Sequence", type=ua.VariantType.UInt64, value=lambda one: one.sequence),
    )


FIELDS: tuple[Field[Verdict], ...] = (
    *_shared(result_state),
    Field(
        name="Score",
        type=ua.VariantType.Double,
        value=lambda one: math.nan if one.score is None else one.score.raw,
    ),
    Field(
        name="Threshold",
        type=ua.VariantType.Double,
        value=lambda one: math.nan if one.score is None else one.score.threshold,
    ),
)

PART_FIELDS: tuple[Field[PartVerdict], ...] = (
    *_shared(part_state),
    Field(name="Key", type=ua.VariantType.String, value=lambda one: one.key or ""),
    Field(name="Missing", type=ua.VariantType.String, value=lambda one: ",".join(one.missing)),
    Field(
        name="Views",
        type=ua.VariantType.String,
        value=lambda one: ",".join(f"{view.camera}={view.result_id}" for view in one.views),
    ),
    Field(name="LateFor", type=ua.VariantType.String, value=lambda one: one.late_for or ""),
)
