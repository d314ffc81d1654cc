"""A day as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tests.soak.day import Day
from tests.soak.plan import Kind


def table(day: Day, *, without: Collection[Kind] = ()) -> str:
    """In Markdown; `without` is what the machine could not do."""
    return "\n".join(f"| {what} | {measured} |" for what, measured in _rows(day, without))


def _rows(day: Day, without: Collection[Kind]) -> Iterator[tuple[str, str]]:
    account = day.account
    yield "figure", "measured"
    yield "---", "---"
    yield (
        "the day",
        f"{day.hours:g} hours in {day.minutes:g} minutes, {day.hours * 60 / day.minutes:g} times as fast",
    )
    yield "mishaps", _counted(Counter(one.kind for one in day.befell))
    if without:
        yield "left out, for want of root", ", ".join(without)
    yield "records committed", str(account.committed)
    yield (
        "of them with the MES; lost; twice",
        f"{account.arrived}; {len(account.lost)}; {len(account.doubled)}",
    )
    yield "asked for again after a broker's death", str(day.healed)
    yield "undecided or skipped, by reason", _counted(account.unjudged)
    yield "part verdicts, in a sequence of their own", str(account.parts)
    yield (
        "pictures of defects named; told as evicted; taken by the MES, some twice",
        f"{account.crops_named}; {account.crops_evicted}; {account.crops_kept}",
    )
    yield "events", _counted(account.events)
    yield "lives of the agent", str(len({one.life for one in day.samples}))
    for one in day.growths:
        memory = f"memory {one.rss_mb[0]:.1f} to {one.rss_mb[1]:.1f} MB ({one.rss_share:+.1%})"
        threads = f"threads {one.threads[0]:.0f} to {one.threads[1]:.0f}"
        handles = f"open files {one.handles[0]:.0f} to {one.handles[1]:.0f}"
        lasted_h = day.hour_at(one.lasted_s)
        yield (
            f"life {one.life + 1}, {lasted_h:.1f} hours, second quarter to last",
            f"{memory}, {threads}, {handles}",
        )
    yield (
        "picture to record, p50; p99; longest",
        "; ".join(
            f"{float(np.percentile([one.recorded_ms for one in day.records], share)):.1f} ms"
            for share in (50, 99, 100)
        ),
    )
    yield "not as it should be, unexplained included", str(len(day.complaints()))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"
