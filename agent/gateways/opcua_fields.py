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

T = TypeVar("T")

COMPLETED, ABORTED = 1, 3  # OPC 40001-101 ResultStateEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Generic[T]):
    """One variable and event field."""

    name: str
    type: ua.VariantType
    value: Callable[[T], Any]


FIELDS: tuple[Field[Verdict], ...] = (
    Field(name="ResultId", type=ua.VariantType.String, value=lambda one: one.result_id),
    Field(name="ResultEvaluation", type=ua.VariantType.Int32, value=lambda one: one.result_evaluation_code),
    Field(
        name="ResultEvaluationCode", type=ua.VariantType.Int64, value=lambda one: one.result_evaluation_code
    ),
    Field(name="ResultState", type=ua.VariantType.Int32, value=lambda one: result_state(one)),
    Field(name="Reason", type=ua.VariantType.String, value=lambda one: one.reason or ""),
    Field(name="CreationTime", type=ua.VariantType.DateTime, value=lambda one: created(one)),
    Field(name="IsPartial", type=ua.VariantType.Boolean, value=lambda one: one.is_partial),
    Field(name="IsSimulated", type=ua.VariantType.Boolean, value=lambda one: one.is_simulated),
    Field(name="JobId", type=ua.VariantType.String, value=lambda one: one.job_id or ""),
    Field(name="PartId", type=ua.VariantType.String, value=lambda one: one.part_id or ""),
    Field(name="Sequence", type=ua.VariantType.UInt64, value=lambda one: one.sequence),
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
    Field(name="ResultId", type=ua.VariantType.String, value=lambda one: one.result_id),
    Field(name="ResultEvaluation", type=ua.VariantType.Int32, value=lambda one: one.result_evaluation_code),
    Field(
        name="ResultEvaluationCode", type=ua.VariantType.Int64, value=lambda one: one.result_evaluation_code
    ),
    Field(name="ResultState", type=ua.VariantType.Int32, value=lambda one: COMPLETED),
    Field(name="Reason", type=ua.VariantType.String, value=lambda one: one.reason or ""),
    Field(name="CreationTime", type=ua.VariantType.DateTime, value=lambda one: created(one)),
    Field(name="IsPartial", type=ua.VariantType.Boolean, value=lambda one: one.is_partial),
    Field(name="IsSimulated", type=ua.VariantType.Boolean, value=lambda one: one.is_simulated),
    Field(name="JobId", type=ua.VariantType.String, value=lambda one: one.job_id or ""),
    Field(name="PartId", type=ua.VariantType.String, value=lambda one: one.part_id or ""),
    Field(name="Sequence", type=ua.VariantType.UInt64, value=lambda one: one.sequence),
    Field(name="Key", type=ua.VariantType.String, value=lambda one: one.key or ""),
    Field(name="Missing", type=ua.VariantType.String, value=lambda one: ",".join(one.missing)),
    Field(
        name="Views",
        type=ua.VariantType.String,
        value=lambda one: ",".join(f"{view.camera}={view.result_id}" for view in one.views),
    ),
    Field(name="LateFor", type=ua.VariantType.String, value=lambda one: one.late_for or ""),
)


def result_state(verdict: Verdict) -> int:
    """ResultState: a trigger that was skipped was aborted."""
    return ABORTED if verdict.verdict == "skipped" else COMPLETED
