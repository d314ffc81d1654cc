"""What every view shows above itself: whose station, how it is, and since when; an event each second."""

from __future__ import annotations

from agent.clock import rfc3339
from agent.page.sources import Json, Query, Sources
from agent.page.state import model_of, work_of
from agent.status.health import assess, broker_words
from agent.status.snapshot import Snapshot


def data(sources: Sources, query: Query) -> Json:
    return of(sources, sources.shown.snapshot())


def of(sources: Sources, snapshot: Snapshot) -> Json:
    health = assess(snapshot)
    return {
        "station": snapshot.station,
        "version": snapshot.version,
        "now": rfc3339(snapshot.now),
        "started": rfc3339(snapshot.started),
        "up_s": snapshot.up_s,
        "health": {"state": health.state, "reasons": list(health.reasons)},
        "model": model_of(snapshot.serving),
        "last_minute": work_of([camera.work.tally for camera in snapshot.cameras]),
        "control": None if sources.behind.control is None else sources.behind.control.told(),
        "broker": {
            "state": snapshot.link.state,
            "words": broker_words(snapshot.link, snapshot.outbox),
        },
    }
