"""What every view shows above itself: whose station, how it is, and since when; an event each second."""

from __future__ import annotations

from agent.page.sources import Json, Query, Sources
from agent.page.state import standing
from agent.status.health import broker_words
from agent.status.snapshot import Snapshot


def data(sources: Sources, query: Query) -> Json:
    return of(sources, sources.shown.snapshot())


def of(sources: Sources, snapshot: Snapshot) -> Json:
    return {
        **standing(snapshot),
        "control": None if sources.behind.control is None else sources.behind.control.told(),
        "broker": {
            "state": snapshot.link.state,
            "words": broker_words(snapshot.link, snapshot.outbox),
        },
    }
