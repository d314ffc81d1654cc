"""The last 24 hours: results by ten minutes, defects by size, place and label, and the rolls of webs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from agent.clock import rfc3339
from agent.page.sources import Json, Query, Sources
from agent.page.views.live import counters
from agent.rolls.roll_map import strongest
from agent.rolls.rolls import Roll
from agent.status.day import DEFECTS, MINUTE_S, Defect, Minute, total

BIN_MINUTES = 10
HOURS = 24
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")
DEFECTS_DRAWN = 300  # of a roll
STRETCHES_DRAWN = 600


def data(sources: Sources, query: Query) -> Json:
    now, day, rolls = sources.shown.snapshot().now, sources.behind.day, sources.behind.rolls
    since = now - timedelta(hours=HOURS)
    camera = query.get("camera") or None
    minutes = {} if day is None else day.minutes(since)
    chosen = [one for name, some in minutes.items() if camera in (None, name) for one in some]
    every = [] if day is None else day.defects(since)
    seen = [one for one in every if camera in (None, one.camera)]
    first = None if day is None else day.first()
    return {
        "since": rfc3339(since),
        "now": rfc3339(now),
        "known_since": None if first is None else _moment(first),
        "cameras": sorted(minutes),
        "bins": bins(chosen, since),
        "total": counters(total(chosen)),
        "defects": len(seen),
        "defects_since": _moment_s(every[0].at_s) if len(every) == DEFECTS else None,
        "pareto": {"size": by_size(seen), "place": by_place(seen), "label": by_label(seen)},
        "rolls": [] if rolls is None else [roll_of(one) for one in rolls.latest()],
    }


def bins(minutes: Iterable[Minute], since: datetime) -> list[Json]:
    """By BIN_MINUTES, with those in which nothing came."""
    by_bin: dict[int, list[Minute]] = {}
    for one in minutes:
        by_bin.setdefault(one.at // BIN_MINUTES, []).append(one)
    first = int(since.timestamp() // MINUTE_S) // BIN_MINUTES
    found = []
    for number in range(first, first + HOURS * 60 // BIN_MINUTES + 1):
        some = by_bin.get(number, [])
        scored = sum(one.scored for one in some)
        found.append(
            {
                "at": _moment(number * BIN_MINUTES),
                **counters(total(some)),
                "score_mean": round(sum(one.score_sum for one in some) / scored, 1) if scored else None,
                "score_max": round(max(one.score_max for one in some), 1) if scored else None,
            }
        )
    return found


def by_size(defects: Sequence[Defect]) -> list[Json]:
    """In decades; of square millimetres where all are calibrated, else of pixels."""
    unit = "mm²" if defects and all(one.area_mm2 is not None for one in defects) else "px"
    sizes = [one.area_mm2 if unit == "mm²" else one.area_px for one in defects]
    decades = Counter(math.floor(math.log10(max(size or 0.0, 1e-6))) for size in sizes)
    return _ranked({f"{10.0**one:,.6g} to {10.0 ** (one + 1):,.6g} {unit}": n for one, n in decades.items()})


def by_place(defects: Sequence[Defect]) -> list[Json]:
    """By thirds of the picture."""
    places = Counter((_third(one.y), _third(one.x)) for one in defects)
    return _ranked(
        {
            "middle" if row == column == 1 else f"{ROWS[row]} {COLUMNS[column]}": count
            for (row, column), count in places.items()
        }
    )


def by_label(defects: Sequence[Defect]) -> list[Json]:
    return _ranked(Counter(one.label or "without a label" for one in defects))


def roll_of(roll: Roll) -> Json:
    """As much of a roll as is drawn."""
    return {
        "roll_id": roll.roll_id,
        "camera": roll.camera,
        "began": rfc3339(roll.began),
        "first_line": roll.first_line,
        "lines": roll.lines,
        "width_px": roll.width_px,
        "metres": None if roll.scale is None else roll.lines * roll.scale.mm_per_line / 1000,
        "windows": dict(roll.windows),
        "lines_lost": roll.lines_lost,
        "defects_counted": roll.defects_counted,
        "stretches": [
            [one.first_line, one.lines, one.verdict]
            for one in roll.stretches[-STRETCHES_DRAWN:]
            if one.verdict != "pass"
        ],
        "defects": [[*one.box, one.area_px] for one in strongest(roll, DEFECTS_DRAWN)],
    }


def _ranked(counts: Mapping[str, int]) -> list[Json]:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [{"name": name, "count": count} for name, count in ordered]


def _third(share: float) -> int:
    return min(2, max(0, int(share * 3)))


def _moment(minute: int) -> str:
    return _moment_s(minute * MINUTE_S)


def _moment_s(since_1970: float) -> str:
    return rfc3339(datetime.fromtimestamp(since_1970, timezone.utc))
