"""The fleet as rows: what is active and what was attempted last, for a terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from agent.foreign import shown, stored
from models.fleet.hall import Hall
from models.fleet.plan import Member, Record
from models.fleet.reports import Attempted

DIGITS = 8
COLUMNS = ("station", "state", "settings", "settings attempted", "bundle", "bundle attempted", "effective")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One station; None where it has not said."""

    station: str
    state: str | None
    reason: str | None
    reported_at: str | None
    settings: dict[str, Any] | None
    settings_attempted: dict[str, Any] | None
    bundle: dict[str, Any] | None
    bundle_attempted: dict[str, Any] | None
    effective_sha256: str | None


def rows(hall: Hall) -> list[Row]:
    """In the inventory's order."""
    found = []
    for station in hall.inventory.stations:
        seen = hall.stations[station.address]
        status, report = seen.status, seen.report
        active = None if report is None else report.settings.active
        bundle = None if report is None else report.bundle.active
        found.append(
            Row(
                station=station.address,
                state=None if status is None else stored(status.state),
                reason=None if status is None or status.reason is None else stored(status.reason),
                reported_at=None if report is None else stored(report.reported_at),
                settings=None if active is None else active.model_dump(mode="json"),
                settings_attempted=None if report is None else _attempted(report.settings.attempted),
                bundle=None if bundle is None else bundle.model_dump(mode="json"),
                bundle_attempted=None if report is None else _attempted(report.bundle.attempted),
                effective_sha256=None if report is None else report.settings.effective_sha256,
            )
        )
    return found


def as_json(hall: Hall, record: Record | None) -> dict[str, Any]:
    return {
        "stations": [asdict(one) for one in rows(hall)],
        "rollout": None if record is None else rollout_json(record),
    }


def rollout_json(record: Record) -> dict[str, Any]:
    """What is known of a rollout, without what is needed to go on with it."""
    return {
        "id": record.id,
        "kind": record.kind,
        "issuer": record.issuer,
        "epoch": record.epoch,
        "counter": record.counter,
        "began_at": record.began_at,
        "state": record.state,
        "why": record.why,
        "wave": record.wave + 1,
        "waves": len(record.quotas),
        "stations": [
            {
                "address": one.address,
                "told": None if one.word is None else one.word.what,
                "counter": None if one.word is None else one.word.counter,
                "result": one.result,
                "returned": one.returned,
                "code": one.code,
                "message": stored(one.message),
            }
            for one in record.members
        ],
    }


def summary(record: Record) -> list[str]:
    """A rollout in a few lines: failures apart from those who have not answered."""
    counts: dict[str, int] = {}
    for one in record.members:
        counts[_word(one)] = counts.get(_word(one), 0) + 1
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    head = f"{record.kind} {record.issuer} {record.counter}: {record.state}, wave {record.wave + 1} of "
    lines = [f"{head}{len(record.quotas)}: {told}"]
    if record.why:
        lines.append(shown(record.why))
    silent = [one.address for one in record.members if _word(one) == "no answer"]
    if silent:
        lines.append(f"no answer: {', '.join(silent[:10])}{', ...' if len(silent) > 10 else ''}")
    return lines


def drawn(hall: Hall, record: Record | None) -> Table:
    """For people."""
    title = None if record is None else summary(record)[0]
    table = Table(*COLUMNS, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows(hall):
        table.add_row(
            row.station,
            row.state or "unknown",
            _settings(row),
            _outcome(row.settings_attempted),
            "-" if row.bundle is None else f"{shown(row.bundle['id'])} {row.bundle['sha256'][:DIGITS]}",
            _outcome(row.bundle_attempted),
            (row.effective_sha256 or "-")[:DIGITS],
        )
    return table


def _word(member: Member) -> str:
    if member.result is not None:
        return member.result
    if member.returned is not None:
        return "back to before" if member.returned == "applied" else f"back to before {member.returned}"
    return "not told" if member.word is None else "no answer"


def _settings(row: Row) -> str:
    active = row.settings
    if active is None:
        return "-"
    counter = "" if active["counter"] is None else f" {shown(str(active['issuer']))} {active['counter']}"
    return f"{shown(active['source'])}{counter}"


def _outcome(attempted: dict[str, Any] | None) -> str:
    if attempted is None:
        return "-"
    counter = "" if attempted["counter"] is None else f"{attempted['counter']} "
    code = "" if attempted["code"] in (0, 200, 202) else f" {attempted['code']}"
    words = f": {shown(attempted['message'])[:60]}" if attempted["message"] else ""
    share = "" if attempted["progress"] is None else f" {attempted['progress']:.0%}"
    return f"{counter}{shown(attempted['state'])}{share}{code}{words}"


def _attempted(attempted: Attempted | None) -> dict[str, Any] | None:
    if attempted is None:
        return None
    return {
        "issuer": attempted.issuer,
        "epoch": attempted.epoch,
        "counter": attempted.counter,
        "state": stored(attempted.state),
        "code": attempted.code,
        "message": stored(attempted.words),
        "progress": attempted.progress,
        "at": attempted.at,
    }
