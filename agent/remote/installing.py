"""The verbs that change the bundle: they ask for it, and follow what becomes of it until it has ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from agent.contract.arguments import Cancel, Install, Rollback
from agent.contract.commands import CODES, NotDoneError, Progress, RefusalKind
from agent.contract.reported import AttemptState
from agent.remote.asked import Call, Data, Steps
from agent.remote.station import Station

ENDED: Collection[AttemptState] = (
    "applied",
    "unchanged",
    "rejected",
    "failed",
    "rolled_back",
    "superseded",
    "cancelled",
)
_KINDS: tuple[RefusalKind, ...] = ("deadline", "failed_before", "no_room", "not_found", "occupied", "bad_arguments")
_KIND_OF: Mapping[int, RefusalKind] = {CODES[kind]: kind for kind in _KINDS}


def install(station: Station, asked: Install, call: Call) -> Steps:
    rollouts = _of(station)
    transaction = rollouts.install(asked, call.by(asked))
    return (yield from _follow(rollouts, transaction, good=("applied", "unchanged")))


def rollback(station: Station, asked: Rollback, call: Call) -> Steps:
    rollouts = _of(station)
    transaction = rollouts.roll_back(call.by(asked))
    return (yield from _follow(rollouts, transaction, good=("applied", "rolled_back")))


def cancel(station: Station, asked: Cancel, call: Call) -> Data:
    return _data(_of(station).cancel(call.by(asked)))
