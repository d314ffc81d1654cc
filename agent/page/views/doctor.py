"""What the doctor can look at; it looks when somebody asks it to, by the act of that name."""

from __future__ import annotations

from agent.page.sources import Json, Query, Sources


def data(sources: Sources, query: Query) -> Json:
    return {"can": sources.behind.desk is not None}
