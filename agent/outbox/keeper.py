"""The keeper of the outbox: its bounds, what is asked of its history, and events that cannot wait.

At the bounds, with nothing left that may be deleted, the spool is full: an alarm goes out, and with
`hold_when_full` the outbox takes no more, so that the line waits. Without, the line goes on into the
reserve until the disk itself is full. Every method is safe from any thread and raises OutboxError
when the file does not take part.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from agent.clock import Clock
from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.outbox import chain, replayed, spool, waiting
from agent.outbox.chain import Tip
from agent.outbox.database import Database
from agent.outbox.file import FullError, transaction
from agent.outbox.replayed import Replayed
from agent.outbox.spool import Evicted, Limits, Tidied, Usage

COMMANDS_KEPT = 10_000


class Keeper:
    """For an open Database; `tidy` is to be called about once a second."""

    def __init__(
        self,
        database: Database,
        *,
        limits: Limits,
        hold_when_full: bool,
        events: EventMaker,
        clock: Clock,
        disk_free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._database = database
        self._limits = limits
        self._hold_when_full = hold_when_full
        self._events = events
        self._clock = clock
        self._disk_free_bytes = disk_free_bytes
        self._full = False
        self._full_told = False
        self._evicted = 0
        self._skipped: Counter[str] = Counter()

    def open(self) -> None:
        self._connection = self._database.connect("FULL")  # what it adds is published, and must stay

    def close(self) -> None:
        with self._database.turn():  # a thread that is late may use it; sqlite3 would crash
            self._connection.close()

    @property
    def full(self) -> bool:
        """At the bounds with nothing left that may be deleted, or the disk takes no more."""
        return self._full or self._database.disk_full

    @property
    def evicted(self) -> int:
        """Crops deleted undelivered, since the start."""
        return self._evicted

    @property
    def skipped(self) -> Mapping[str, int]:
        """Rows that were deleted before a gateway had come to them, by its name, since the start."""
        return dict(self._skipped)

    def note(self, row: Row) -> None:
        """Add an event at once, also while the outbox is held."""
        with self._database.write(self._connection) as connection:
            waiting.insert(connection, [row], self._database.stamp())
        self._database.tell()

    def note_end(self, row_of: Callable[[Tip], Row | None]) -> None:
        """Add the row that `row_of` makes of the chain's end, directly behind it, if it makes one."""
        with self._database.write(self._connection) as connection:
            row = row_of(chain.tip(connection))
            waiting.insert(connection, [] if row is None else [row], self._database.stamp())
        self._database.tell()

    def begin_segment(self, is_wanted: Callable[[Tip], bool]) -> bool:
        """Begin another segment of the chain where `is_wanted` says so of its end; whether it did."""
        with self._database.write(self._connection) as connection:
            begins = is_wanted(chain.tip(connection))
            if begins:
                chain.begin_anew(connection)
        return begins

    def told_salvage(self, row: Row) -> None:
        """Add the event of what was saved from a damaged file, and have it told no more."""
        with self._database.write(self._connection) as connection:
            waiting.insert(connection, [row], self._database.stamp())
            connection.execute("DELETE FROM salvage")
        self._database.tell()

    def refused(self, place: str, seq: int, reason: str, told: Row) -> None:
        """Keep a record of a row that `place` did not take, and add the event `told` the first time.

        Waits for room on a full disk, as the threads that deliver do.
        """
        now = self._database.stamp()

        def keep() -> None:
            if waiting.note_refusal(self._connection, place, seq, reason, now.wall_ns):
                waiting.insert(self._connection, [told], now)

        self._database.persist(keep, self._connection)
        self._database.tell()

    def confirm(self, result_ids: Collection[str]) -> int:
        """The MES has these verdicts; how many of them were waiting."""
        with self._database.write(self._connection) as connection:
            return waiting.confirm(connection, result_ids)

    def replay(self, from_sequence: int, to_sequence: int) -> Replayed:
        """Queue delivered verdicts of the history once more, flagged as replayed."""
        with self._database.write(self._connection) as connection:
            queued = waiting.replay(connection, from_sequence, to_sequence)
            there = replayed.sequences(connection, from_sequence, to_sequence)
        self._database.tell()
        return replayed.told(from_sequence, to_sequence, queued=queued, there=there)

    def remember(self, command_id: str, now: datetime) -> None:
        """A command was performed `now`; the last 10,000 are kept, whatever the wall clock says by then."""
        performed_ns = self._database.stamp().lived_ns
        with self._database.write(self._connection) as connection:
            connection.execute("INSERT OR IGNORE INTO command VALUES (?, ?)", (command_id, performed_ns))
            connection.execute(
                "DELETE FROM command WHERE id IN"
                f" (SELECT id FROM command ORDER BY performed_ns DESC LIMIT -1 OFFSET {COMMANDS_KEPT})"
            )

    def seen(self, command_id: str) -> bool:
        """Whether a command was performed already."""
        with self._database.write(self._connection) as connection:
            found = connection.execute("SELECT 1 FROM command WHERE id = ?", (command_id,)).fetchone()
        return found is not None

    def keep_cursors(self, names: Collection[str]) -> None:
        """Forget how far other gateways had come, so that nothing is kept for them."""
        with self._database.write(self._connection) as connection:
            connection.execute(f"DELETE FROM cursor WHERE name NOT IN ({waiting.marks(names)})", tuple(names))

    def tidy(self) -> Tidied:
        """Hold the bounds: one turn of deletions, and the state that follows from it."""
        connection, now = self._connection, self._database.stamp()
        try:
            with self._database.turn():
                usage = spool.measure(connection, self._disk_free_bytes(self._database.path.parent))
                excess = spool.excess_bytes(usage, self._limits)
                with transaction(connection):
                    done = spool.tidy(connection, self._limits, excess, now, self._tombstone)
                    self._database.note_age(connection)
                spool.shrink(connection)
        except FullError:  # the writer says so, too, and waits
            return Tidied()
        self._judge_room(usage, stuck=excess > 0 and not done.trimmed and not done.evicted)
        self._evicted += len(done.evicted)
        self._skipped.update(done.skipped)
        if done.evicted:
            self._database.tell()
        return done

    def _judge_room(self, usage: Usage, *, stuck: bool) -> None:
        path = self._database.path
        if stuck and not self._full_told:  # on a full disk it cannot be told at once, and is tried again
            self._full = True
            if self._hold_when_full:
                self._database.hold()
            what_follows = "the line waits" if self._hold_when_full else "the line goes on into the reserve"
            detail = (
                f"{path}: {usage.stored_bytes} bytes stored, {usage.free_bytes} bytes left on the disk, and "
                f"nothing left to delete; {what_follows}: bring the broker back, free disk space or raise "
                "outbox.max_bytes"
            )
            measured = {"stored_bytes": usage.stored_bytes, "free_bytes": usage.free_bytes}
            self.note(self._events.row("spool_full", "alarm", detail, **measured))
            self._full_told = True
        elif self._full and spool.has_room(usage, self._limits):
            self._full = self._full_told = False
            self._database.release()
            self.note(self._events.row("spool_recovered", "info", f"{path}: there is room again"))

    def _tombstone(self, evicted: Evicted) -> Row:
        return self._events.row(
            "crop_evicted",
            "warning",
            f"crop {evicted.crop_id} was deleted undelivered: {evicted.reason}",
            crop_id=evicted.crop_id,
            result_id=evicted.result_id,
            of_pass=evicted.of_pass,
            bytes=evicted.size,
            reason=evicted.reason,
        )
