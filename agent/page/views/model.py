"""What judges, by which settings, what they were before, and the last proofs of bundles."""

from __future__ import annotations

from agent.address import masked_values
from agent.page.proofs import documents
from agent.page.sources import History, Json, Query, Sources
from agent.page.state import latency_of, model_of
from agent.remote.changes import differing
from agent.remote.settings.store import Snapshot

HISTORY = 20
MEMBERS = 40  # of a difference


def data(sources: Sources, query: Query) -> Json:
    snapshot, behind = sources.shown.snapshot(), sources.behind
    return {
        "model": model_of(snapshot.serving),
        "infer_ms": latency_of(snapshot.infer),
        "in_force": None if behind.in_force is None else behind.in_force(),
        "can_command": behind.desk is not None,
        "history": [] if behind.history is None else _history(behind.history),
        "attempted": None if behind.history is None else masked_values(behind.history.attempted()),
        "proofs": documents(behind.proofs),
    }


def _history(history: History) -> list[Json]:
    """Newest first, each with what it changed of the one before."""
    kept, current = history.snapshots()[-HISTORY - 1 :], history.current()
    befores = [None, *(one for _, one in kept)]
    told = [_told(name, one, before, current) for (name, one), before in zip(kept, befores, strict=False)]
    return told[::-1][:HISTORY]


def _told(name: str, one: Snapshot, before: Snapshot | None, current: str | None) -> Json:
    was, now = ({}, {}) if before is None else differing(before.data, one.data)
    rows = [
        {"member": member, "was": masked_values(was[member]), "now": masked_values(now[member])}
        for member in list(was)[:MEMBERS]
    ]
    return {
        "snapshot": name,
        "since": one.since,
        "source": one.source,
        "issuer": None if one.origin is None else one.origin.issuer,
        "is_current": name == current,
        "differs": rows,
        "left_out": max(0, len(was) - MEMBERS),
    }
