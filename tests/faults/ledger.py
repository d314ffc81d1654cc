"""What was committed against what an independent subscriber got."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from agent.contract.row import Row
from tests.brokers import Received
from tests.faults.rows import TOPICS, sequences

RSS_LIMIT_MB = 75.0  # a station without work has 45
COLUMNS = (
    "fault",
    "committed",
    "delivered unique",
    "missing",
    "duplicates",
    "order kept",
    "gaps",
    "peak RSS MB",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How one fault was survived. `waiting` rows are still in the outbox, delivered or not."""

    fault: str
    committed: int
    delivered: int  # unique
    missing: int
    unexpected: int  # on our topics, and committed by nobody
    duplicates: int
    order_kept: bool  # of first deliveries, within each camera and kind
    gaps: int  # in the verdicts' sequence as it was received
    waiting: int
    peak_rss_mb: float | None  # of the station's process

    @property
    def is_even(self) -> bool:
        """Whether everything arrived, once or more, in order, and nothing else did."""
        return not (self.missing or self.unexpected or self.gaps or self.waiting) and self.order_kept

    def cells(self) -> tuple[str, ...]:
        """In the order of COLUMNS."""
        stuck = f" ({self.waiting} still waiting)" if self.waiting else ""
        return (
            self.fault + stuck,
            str(self.committed),
            str(self.delivered),
            str(self.missing),
            str(self.duplicates),
            "yes" if self.order_kept else "NO",
            str(self.gaps),
            "-" if self.peak_rss_mb is None else f"{self.peak_rss_mb:.0f}",
        )


def settle(
    fault: str,
    committed: Sequence[Row],
    received: Sequence[Received],
    *,
    passed: Collection[str] = (),
    waiting: int,
    peak_rss_mb: float | None,
) -> Balance:
    """The balance. Rows behind a refused one pass it: the order of those in `passed` (ids) is not asked."""
    row_of = {(row.topic, row.payload): row for row in committed}
    assert len(row_of) == len(committed), "two rows look the same; nobody could tell what is missing"
    ours = [(got.topic, got.content) for got in received if _is_row(got)]
    found = [row_of[key] for key in dict.fromkeys(ours) if key in row_of]
    return Balance(
        fault=fault,
        committed=len(committed),
        delivered=len(found),
        missing=len(committed) - len(found),
        unexpected=sum(key not in row_of for key in ours),
        duplicates=sum(key in row_of for key in ours) - len(found),
        order_kept=_flows(found, passed) == _flows(_only(committed, found), passed),
        gaps=_gaps(found),
        waiting=waiting,
        peak_rss_mb=peak_rss_mb,
    )


def _is_row(got: Received) -> bool:
    return got.topic.startswith(tuple(f"{TOPICS.prefix}/{kind}" for kind in ("verdict", "crop", "event")))


def _flows(rows: Sequence[Row], passed: Collection[str]) -> dict[str, list[str]]:
    """The ids of each camera and kind, in order."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row.id not in passed:
            ids.setdefault(row.id.rpartition("-")[0], []).append(row.id)
    return ids


def _only(rows: Sequence[Row], wanted: Sequence[Row]) -> list[Row]:
    ids = {row.id for row in wanted}
    return [row for row in rows if row.id in ids]


def _gaps(rows: Sequence[Row]) -> int:
    """Sequences that were skipped before the last one received, all topics together."""
    by_topic: dict[str, list[int]] = {}
    for row in rows:
        by_topic.setdefault(row.topic, []).extend(sequences([row]))
    return sum(max(found) - len(found) for found in by_topic.values() if found)


def assert_survived(balance: Balance) -> None:
    """Every row arrived, in order, and the station stayed within RSS_LIMIT_MB."""
    print(" | ".join(balance.cells()))  # `pytest -s`, or after a failure
    assert balance.committed > 0 and balance.is_even, balance
    assert balance.peak_rss_mb is None or balance.peak_rss_mb < RSS_LIMIT_MB, balance
