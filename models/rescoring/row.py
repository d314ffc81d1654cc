"""One file of an archive, judged again or told why not; and its row in Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

import pyarrow as pa

from agent.archive.record import MarkWord
from agent.remote.proof.document import VerdictWord
from agent.remote.proof.marked import Becomes

Status: TypeAlias = Literal[
    "judged",
    "unscored",
    "torn",
    "unsound",
    "foreign",
    "unfinished",
    "unreadable",
    "renamed",
    "gone",
    "double",
]
STATUSES: dict[Status, str] = {
    "judged": "judged again",
    "unscored": "sound, and could not be judged",
    "torn": "cut short or changed after it was written",
    "unsound": "of another version, or not what a station writes",
    "foreign": "no entry of an archive",
    "unfinished": "half written when a station died",
    "unreadable": "not readable here",
    "renamed": "an entry under another's name",
    "gone": "no more there: the archive made room meanwhile",
    "double": "a copy of an entry that counts already",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was recorded then, and what the new bundle says now. Scores are raw; None where there is none."""

    status: Status
    why: str | None = None  # of a status other than judged
    file: str
    result_id: str | None = None
    station: str | None = None
    camera: str | None = None
    product: str | None = None  # `recipe_id` of the verdict
    part_id: str | None = None
    captured_at: datetime | None = None
    week: str | None = None  # ISO 8601, such as 2026-W48
    simulated: bool | None = None
    lines: int | None = None
    width: int | None = None
    channels: int | None = None
    pixels_sha256: str | None = None
    rules_kept: bool | None = (
        None  # False: smallest defect and regions are defaults, an older version kept none
    )
    then_verdict: VerdictWord | None = None
    then_reason: str | None = None
    then_raw: float | None = None
    then_threshold: float | None = None
    then_defects: int | None = None
    then_bundle: str | None = None  # digest
    then_engine: str | None = None
    now_verdict: VerdictWord | None = None
    now_reason: str | None = None
    now_raw: float | None = None
    now_threshold: float | None = None
    now_defects: int | None = None
    now_engine: str | None = None
    shift: float | None = None  # hundredths of the threshold, or of the larger score above it
    mark: MarkWord | None = None
    becomes: Becomes | None = None


COLUMNS = pa.schema(
    [
        pa.field("status", pa.string(), nullable=False),
        pa.field("why", pa.string()),
        pa.field("file", pa.string(), nullable=False),
        pa.field("result_id", pa.string()),
        pa.field("station", pa.string()),
        pa.field("camera", pa.string()),
        pa.field("product", pa.string()),
        pa.field("part_id", pa.string()),
        pa.field("captured_at", pa.timestamp("us", tz="UTC")),
        pa.field("week", pa.string()),
        pa.field("simulated", pa.bool_()),
        pa.field("lines", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("channels", pa.int32()),
        pa.field("pixels_sha256", pa.string()),
        pa.field("rules_kept", pa.bool_()),
        pa.field("then_verdict", pa.string()),
        pa.field("then_reason", pa.string()),
        pa.field("then_raw", pa.float64()),
        pa.field("then_threshold", pa.float64()),
        pa.field("then_defects", pa.int32()),
        pa.field("then_bundle", pa.string()),
        pa.field("then_engine", pa.string()),
        pa.field("now_verdict", pa.string()),
        pa.field("now_reason", pa.string()),
        pa.field("now_raw", pa.float64()),
        pa.field("now_threshold", pa.float64()),
        pa.field("now_defects", pa.int32()),
        pa.field("now_engine", pa.string()),
        pa.field("shift", pa.float64()),
        pa.field("mark", pa.string()),
        pa.field("becomes", pa.string()),
    ]
)


def table_of(rows: Iterable[Row]) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=COLUMNS)


def rows_of(table: pa.Table) -> Iterator[Row]:
    """Raises ValueError for a table of other columns."""
    if not table.schema.equals(COLUMNS):
        raise ValueError("its columns are of another version")
    for values in table.to_pylist():
        yield Row(**_checked(values))


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if values["status"] not in get_args(Status):
        raise ValueError(f"status {values['status']!r} is none that this version knows")
    return values
