"""What judges, how long it takes, and the last proofs of bundles."""

from __future__ import annotations

from agent.page.proofs import documents
from agent.page.sources import Json, Query, Sources
from agent.page.state import latency_of, model_of


def data(sources: Sources, query: Query) -> Json:
    snapshot = sources.shown.snapshot()
    return {
        "model": model_of(snapshot.serving),
        "infer_ms": latency_of(snapshot.infer),
        "proofs": documents(sources.behind.proofs),
    }
