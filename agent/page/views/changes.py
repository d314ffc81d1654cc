"""Who changed what, before and after, the newest first."""

from __future__ import annotations

from agent.page.sources import Json, Query, Sources

TOLD = 100


def data(sources: Sources, query: Query) -> Json:
    record = sources.behind.changes
    return {
        "is_kept": record is not None,
        "turned_out": 0 if record is None else record.turned_out(),
        "changes": [] if record is None else [one.model_dump(mode="json") for one in record.last(TOLD)],
    }
