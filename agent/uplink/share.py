"""Which rows go next while more wait than there is room for: verdicts first, and nobody waits for ever.

Of every ten rows published one is an event, one a replay and one a crop, as long as such rows wait; every
other turn goes by priority. So verdicts have seven turns of ten or more, and a class of rows that waits is
never passed over for more than nine rows, however fast verdicts come. A kind of which the broker has
refused a row goes last until its pause is over: some brokers end the connection for each.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from agent.contract.row import KINDS, RowKind, Waiting
from agent.uplink.shipment import Load

PERIOD = 10
_TURNS: dict[RowKind | None, int] = {"event": 3, None: 6, "crop": 9}  # None: a replay


class Lease(Protocol):
    """As of the outbox: rows by priority, replays last."""

    def __call__(
        self, limit: int, /, *, kinds: Collection[RowKind], replays: int, exclude: Collection[int]
    ) -> tuple[Waiting, ...]: ...


def turns(published: int, room: int, kind: RowKind | None) -> int:
    """How many of the next `room` turns are those of a kind (None: of replays), after so many rows."""
    turn = _TURNS[kind]
    return (published + room + PERIOD - 1 - turn) // PERIOD - (published + PERIOD - 1 - turn) // PERIOD


def take(load: Load, lease: Lease) -> tuple[Waiting, ...]:
    """Up to `load.limit` rows: by priority, but for the turns of those who would be passed over."""
    first = lease(load.limit, kinds=load.kinds, replays=load.replays, exclude=load.exclude)
    if len(first) < load.limit:
        return first  # all that wait
    kept: list[Waiting] = []
    for kind in _TURNS:
        if kind in load.troubled:
            continue
        share = turns(load.published, load.limit, kind)
        mine = [one for one in first if _kind(one) == kind][:share]
        if len(mine) < share and (kind is None or kind in load.kinds):
            exclude = (*load.exclude, *(one.seq for one in mine))
            missing = share - len(mine)
            replays = min(missing, load.replays - len(mine)) if kind is None else 0
            if kind is not None or replays > 0:
                kinds = () if kind is None else (kind,)
                mine += lease(missing, kinds=kinds, replays=replays, exclude=exclude)
        kept += mine
    seqs = {one.seq for one in kept}
    rest = [one for one in first if one.seq not in seqs]
    return tuple(sorted(kept + rest[: load.limit - len(kept)], key=_rank))


def _kind(waiting: Waiting) -> RowKind | None:
    return None if waiting.replayed else waiting.row.kind


def _rank(waiting: Waiting) -> tuple[int, int]:
    kind = _kind(waiting)
    return len(KINDS) if kind is None else KINDS.index(kind), waiting.seq
