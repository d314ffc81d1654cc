"""The verbs that change the bundle: they ask for it, and follow what becomes of it until it has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from typing import TypeVar

from pydantic import JsonValue

from agent.contract.arguments import Cancel, Install, Rollback
from agent.contract.commands import ACCEPTED, CODES, NotDoneError, Progress, RefusalKind
from agent.remote.commands.aside import aside
from agent.remote.commands.asked import Call, Steps
from agent.remote.commands.station import Station
from agent.remote.rollout.orders import Rollouts, Said, Standing

_KINDS: tuple[RefusalKind, ...] = (
    "not_json",
    "unsigned",
    "not_addressed",
    "not_found",
    "deadline",
    "impossible",
    "expired",
    "oversized",
    "wrong_type",
    "bad_arguments",
    "failed_before",
    "occupied",
    "no_room",
)
_KIND_OF: Mapping[int, RefusalKind] = {CODES[kind]: kind for kind in _KINDS}

T = TypeVar("T")


def install(station: Station, asked: Install, call: Call) -> Steps:
    rollouts = _of(station)
    said = yield from _answer(lambda: rollouts.install(asked.document.encode()))
    return (yield from _follow(rollouts, said, good=("applied", "unchanged")))


def rollback(station: Station, asked: Rollback, call: Call) -> Steps:
    rollouts = _of(station)
    said = yield from _answer(lambda: rollouts.roll_back(call.by(asked), asked.reason))
    return (yield from _follow(rollouts, said, good=("applied", "unchanged", "rolled_back")))


def cancel(station: Station, asked: Cancel, call: Call) -> Steps:
    rollouts = _of(station)
    said = yield from _answer(lambda: rollouts.cancel(asked.transaction))
    return {"transaction": said.transaction}


def _of(station: Station) -> Rollouts:
    if station.rollouts is None:
        raise NotDoneError(
            "impossible", "this station takes no bundle from afar; let settings name trust.file, and a depot"
        )
    return station.rollouts


def _answer(ask: Callable[[], Said]) -> Generator[None, None, Said]:
    """What a rollout says, for which others need not wait. Raises NotDoneError."""

    def once() -> Iterator[Said]:
        yield ask()

    for said in aside(once):
        if said is None:
            yield None
            continue
        if said.code not in (200, ACCEPTED):
            raise NotDoneError(_KIND_OF.get(said.code, "failed"), said.message)
        return said
    raise AssertionError("it answers or raises")


def _follow(rollouts: Rollouts, said: Said, *, good: Collection[str]) -> Steps:
    """From its beginning, which is durable, to its end. Raises NotDoneError."""
    if said.code != ACCEPTED or said.transaction is None:
        return {"transaction": said.transaction, "state": "unchanged", "progress": None}
    while True:
        standing = rollouts.standing(said.transaction)
        if standing is None:
            raise NotDoneError("not_found", "how it ended is not known any more; read config/reported")
        data = _data(said.transaction, standing)
        if standing.is_over:
            break
        yield Progress(message=standing.message, data=data, is_kept=True)
    if standing.state not in good:
        raise NotDoneError(_KIND_OF.get(standing.code, "failed"), standing.message, data)
    return data


def _data(transaction: str, standing: Standing) -> dict[str, JsonValue]:
    return {"transaction": transaction, "state": standing.state, "progress": standing.share}
