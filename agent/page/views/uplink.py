"""The way out and in: the broker, what waits for it and for each gateway, and commands that were refused."""

from __future__ import annotations

from dataclasses import asdict

from agent.page.sources import Json, Query, Sources
from agent.page.state import latency_of
from agent.status.health import broker_words


def data(sources: Sources, query: Query) -> Json:
    snapshot = sources.shown.snapshot()
    link, outbox, desk = snapshot.link, snapshot.outbox, sources.behind.desk
    return {
        "broker": {
            "state": link.state,
            "detail": link.detail,
            "for_s": link.for_s,
            "words": broker_words(link, outbox),
        },
        "outbox": {"rows": outbox.rows, "bytes": outbox.size_bytes, "oldest_s": outbox.oldest_s},
        "readers": [asdict(reader) for reader in outbox.readers],
        "commands": None
        if desk is None
        else {
            "performed": desk.performed,
            "refused": {kind: count for kind, count in desk.refusals.items() if count},
        },
        "capture_to_recorded_ms": latency_of(snapshot.capture_to_recorded),
    }
