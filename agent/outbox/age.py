"""The outbox's own time: how long it has lived, by clocks that do not jump.

Ages are differences of this time. Within one boot it follows the monotonic clock; from one boot to the next
the wall clock, where that was synchronised before and is now, and else it stands still. The wall clock may
step to any year and nothing becomes older or younger.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.clock import Clock

NOTED_EVERY_NS = 60_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the machine's clocks say."""

    boot: str
    monotonic_ns: int
    wall_ns: int
    synced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """At this moment the outbox had lived so long."""

    moment: Moment
    lived_ns: int


def moment(clock: Clock) -> Moment:
    return Moment(
        boot=clock.boot(),
        monotonic_ns=clock.monotonic_ns(),
        wall_ns=round(clock.utc_now().timestamp() * 1e9),
        synced=clock.synced() is True,
    )


def lived_ns(anchor: Anchor, now: Moment) -> int:
    """How long the outbox has lived at `now`; never less than at the anchor."""
    then = anchor.moment
    if now.boot == then.boot:
        return anchor.lived_ns + max(0, now.monotonic_ns - then.monotonic_ns)
    if now.synced and then.synced:
        return anchor.lived_ns + max(0, now.wall_ns - then.wall_ns)
    return anchor.lived_ns


def read_anchor(database: sqlite3.Connection) -> Anchor:
    boot, monotonic_ns, wall_ns, synced, lived = database.execute(
        "SELECT boot, monotonic_ns, wall_ns, synced, lived_ns FROM age"
    ).fetchone()
    then = Moment(boot=boot, monotonic_ns=monotonic_ns, wall_ns=wall_ns, synced=bool(synced))
    return Anchor(moment=then, lived_ns=lived)


def write_anchor(database: sqlite3.Connection, anchor: Anchor) -> None:
    """In the caller's transaction."""
    then = anchor.moment
    database.execute(
        "UPDATE age SET boot = ?, monotonic_ns = ?, wall_ns = ?, synced = ?, lived_ns = ?",
        (then.boot, then.monotonic_ns, then.wall_ns, then.synced, anchor.lived_ns),
    )


class Age:
    """The outbox's time for one process: an anchor that is moved up now and then."""

    def __init__(self, anchor: Anchor, clock: Clock) -> None:
        self._anchor = anchor
        self._clock = clock

    def now_ns(self) -> int:
        """From any thread."""
        anchor = self._anchor
        return anchor.lived_ns + max(0, self._clock.monotonic_ns() - anchor.moment.monotonic_ns)

    def is_due(self) -> bool:
        """Whether the file should know of a later anchor."""
        return self._clock.monotonic_ns() - self._anchor.moment.monotonic_ns >= NOTED_EVERY_NS

    def note(self, database: sqlite3.Connection) -> None:
        """Move the anchor up, in the caller's transaction."""
        now = moment(self._clock)
        self._anchor = Anchor(moment=now, lived_ns=lived_ns(self._anchor, now))
        write_anchor(database, self._anchor)
