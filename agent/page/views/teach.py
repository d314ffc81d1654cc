"""Own parts in five steps: how far they are, what was found, and what they can promise."""

from __future__ import annotations

from agent.page.sources import Json, Query, Sources


def data(sources: Sources, query: Query) -> Json:
    behind = sources.behind
    if behind.teaching is None:
        return {"can": False}
    return {
        "can": True,
        "doing": behind.teaching.told(),
        **behind.teaching.data(),
        "cameras": [one.name for one in sources.shown.snapshot().cameras],
        "intervals_s": {one.name: one.interval_s for one in sources.shown.snapshot().cameras},
        "archived": behind.archive is not None,
        "in_force": None if behind.in_force is None else behind.in_force(),
        "settings_state": behind.settings_state(),
    }
