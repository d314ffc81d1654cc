"""The durable outbox: what is committed here is delivered, whatever the network does.

Appends are committed in their order by one writer thread, several in one transaction when they
come close together. The first commit that fails is the last one tried, so what is on disk is
always a gap-free beginning of what was appended. Only a disk that is full is waited for.

The writer thread has the connection that inserts (synchronous FULL), the courier's thread the one behind
`lease` and what follows from it (NORMAL: a deletion lost with the power is a duplicate, never a loss; no row
is ever published that a power cut could undo, or the chain would have two of one number),
`depth` one that reads. They are open from the start: nothing here needs another file while it runs.

A row that is not what was committed is never handed out: it is put aside as a dead letter, with an event.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import structlog

from agent.contract.row import KINDS, Changed, Row, RowKind, Waiting
from agent.outbox import file as outbox_file
from agent.outbox import waiting
from agent.outbox.appends import Append, next_group
from agent.outbox.database import Database
from agent.outbox.file import Depth, OutboxError, explained
from agent.outbox.reserve import Reserve
from agent.outbox.salvage import Salvage
from agent.outbox.seal import RECORD_COLUMNS, opened, seal

GROUP_NS = 5_000_000
SETTLE_S = 0.01  # from look to look
APPENDS_WAITING = 256
_LAST_VERDICT = "FROM record WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1"

log = structlog.get_logger(__name__)


class Outbox:
    """Rows between the line and the broker, in one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = database.clock
        self._queue: queue.Queue[Append | None] = queue.Queue(maxsize=APPENDS_WAITING)
        self._gate = threading.Lock()  # the order of appends
        self._reading = threading.Lock()
        self._writer: threading.Thread | None = None
        self._failure: OutboxError | None = None
        self._appended_sequence = 0
        self._committed_sequence = 0
        self._appended = 0  # appends, since it was opened
        self._settled = 0  # those of them that were committed or refused

    def open(self) -> None:
        """Open the database and start the writer. Raises OutboxError."""
        database = self._database
        with ExitStack() as opened, database.explained():
            database.open()
            opened.callback(database.close)
            self._reserve = Reserve(database.path)
            opened.callback(self._reserve.close)
            self._deletes = database.connect("NORMAL")
            opened.callback(self._deletes.close)
            self._inserts = database.connect("FULL")
            opened.callback(self._inserts.close)
            self._reads = database.connect_to_read()
            opened.callback(self._reads.close)  # first: the last one to close empties the log, and must write
            for connection in (self._deletes, self._inserts, self._reads):
                connection.execute("SELECT 1 FROM progress").fetchone()  # opens the log, too
            self._opened = opened.pop_all()
        self._appended_sequence = self._committed_sequence = database.last_sequence
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    def about_to_close(self) -> None:
        """Wait no more, for room or for a full disk: a stop must not hang."""
        self._database.about_to_close()

    def close(self) -> None:
        """Commit what is queued, held or not, and let go of the file. The courier must have stopped."""
        with self._gate:
            writer, self._writer = self._writer, None
            if writer is None:
                return
            self.about_to_close()
            self._queue.put(None)
        writer.join()
        with self._reading:
            self._opened.close()

    @property
    def path(self) -> Path:
        return self._database.path

    @property
    def salvaged(self) -> Salvage | None:
        """What was saved of a damaged file, until it is told."""
        return self._database.salvaged

    @property
    def unshrinkable(self) -> str | None:
        """Why an old file does not give room back."""
        return self._database.unshrinkable

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file lies of which nobody has been told yet."""
        return None if self.salvaged is None else Path(self.salvaged.file)

    @property
    def failure(self) -> OutboxError | None:
        """Why nothing is committed any more; None while all is well."""
        return self._failure

    @property
    def disk_full(self) -> bool:
        """The disk takes no more; what could not be written is tried again and again."""
        return self._database.disk_full

    @property
    def settled(self) -> int:
        """Appends that were committed or refused since the opening: it moves while there is work."""
        return self._settled

    @property
    def rests(self) -> bool:
        """Nothing waits to be committed, or it must not be now: the disk is full, or the outbox is."""
        return self._settled == self._appended or self.waits_for_room

    @property
    def waits_for_room(self) -> bool:
        """Nothing is committed until there is room again; who appends waits, too."""
        return self._database.disk_full or self._database.held

    def last_sequence(self) -> int:
        """The last committed verdict sequence, delivered or not; 0 before the first."""
        return self._committed_sequence

    def last_id(self) -> str | None:
        """Of the last committed verdict that is still there."""
        with self._reading:
            found = self._reads.execute(f"SELECT id {_LAST_VERDICT}").fetchone()
        return None if found is None else str(found[0])

    def when_committed(self, listener: Callable[[], None]) -> None:
        """Have `listener` called in the writer thread after every commit; it must be quick."""
        self._database.when_committed(listener)

    def append(self, rows: Sequence[Row], on_committed: Callable[[], None] | None = None) -> Future[None]:
        """Commit `rows` in one transaction, after everything appended before; blocks while 256 appends wait.

        The future ends with the commit or with the OutboxError that prevented it. `on_committed` is called
        in the writer thread and must not append. Raises ValueError for a sequence that leaves a gap.
        """
        sealed = tuple(map(seal, rows))  # here, where it holds no other line up
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it under the writer
        with self._gate:
            if self._writer is None:
                raise OutboxError(f"{self.path}: the outbox is closed; open it before appending")
            expected = self._appended_sequence
            last: int | None = None
            for row in rows:
                if row.sequence is None:
                    continue
                expected += 1
                if row.sequence != expected:
                    raise ValueError(f"{row.id}: sequence {row.sequence} where {expected} comes next")
                last = expected
            self._appended_sequence = expected
            self._appended += 1
            self._queue.put(Append(rows=sealed, last=last, on_committed=on_committed, future=future))
        return future

    def settle(self, timeout_s: float) -> bool:
        """Whether all that was appended is committed by then; at once False while there is no room for it.

        Raises OutboxError when it cannot be.
        """
        ends_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        wanted = self._appended
        while self._settled < wanted:
            if self.waits_for_room or self._clock.monotonic_ns() >= ends_ns:
                return False
            self._clock.sleep(SETTLE_S)
        if self._failure is not None:
            raise self._failure
        return not self.waits_for_room

    def lease(
        self,
        limit: int,
        *,
        kinds: Collection[RowKind] = KINDS,
        replays: int = 0,
        exclude: Collection[int] = (),
    ) -> tuple[Waiting, ...]:
        """The next rows to publish: verdicts, then events, then crops, each in the order of commits.

        After them at most `replays` verdicts that were asked for again. For the courier's thread.
        """
        while True:
            try:
                rows = waiting.lease(self._deletes, limit, kinds=kinds, replays=replays, exclude=exclude)
            except sqlite3.Error as error:
                raise explained(self.path, error) from error
            changed = [row for row in rows if isinstance(row, Changed)]
            if not changed:
                return cast(tuple[Waiting, ...], rows)
            for row in changed:
                self._database.put_aside(row, self._deletes)

    def delivered(self, seqs: Collection[int]) -> None:
        """The broker has these rows. For the courier's thread, as the next two."""
        self._database.persist(lambda: waiting.delivered(self._deletes, seqs), self._deletes)

    def await_confirmation(self, seqs: Collection[int], round_: int) -> None:
        """The broker has these verdicts; they stay until the MES says that it has them."""
        self._database.persist(lambda: waiting.await_confirmation(self._deletes, seqs, round_), self._deletes)

    def resend(self, before_round: int) -> int:
        """Queue again what was published before a round and is not confirmed; how many."""
        return self._database.persist(lambda: waiting.resend(self._deletes, before_round), self._deletes)

    def find(self, id_: str) -> Waiting | Changed | None:
        """The row with this id, delivered or not; None where there is none any more. From any thread."""
        try:
            with self._reading:
                row = self._reads.execute(
                    f"SELECT seq, {RECORD_COLUMNS} FROM record WHERE id = ?", (id_,)
                ).fetchone()
                return None if row is None else opened(self._reads, row[0], row[1:])
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def verdicts(self, after: int, limit: int) -> tuple[Waiting | Changed, ...]:
        """The next verdicts behind the sequence `after` that are there, delivered or not. From any thread."""
        query = f"SELECT seq, {RECORD_COLUMNS} FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?"
        try:
            with self._reading:
                rows = self._reads.execute(query, (after, limit)).fetchall()
                return tuple(opened(self._reads, seq, columns) for seq, *columns in rows)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def depth(self) -> Depth:
        """What waits; from any thread."""
        if self._writer is None:
            return outbox_file.read_depth(self.path, clock=self._clock)
        try:
            with self._reading:
                return outbox_file.measure(self._reads, self._clock)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def _write(self) -> None:
        busy = False  # appends came together in the last group, so waiting for company pays
        started_ns = 0
        open_ = True
        while open_:
            group, open_ = next_group(self._queue, self._clock, started_ns + GROUP_NS if busy else 0)
            busy, started_ns = len(group) > 1, self._clock.monotonic_ns()
            self._database.wait_while_held()
            if self._failure is None:
                try:
                    self._commit(group)
                except Exception as error:
                    self._fail(error if isinstance(error, OutboxError) else explained(self.path, error))
                    self._refuse(group)
                else:
                    self._announce(group)
            else:
                self._refuse(group)
            self._settled += len(group)

    def _commit(self, group: Sequence[Append]) -> None:
        rows = [row for one in group for row in one.rows]
        last = max((one.last for one in group if one.last is not None), default=None)
        self._database.with_room(lambda: self._reserve.cover(last or 0))

        def insert() -> None:
            waiting.insert_sealed(self._inserts, rows, self._database.stamp())
            if last is not None:
                self._inserts.execute("UPDATE progress SET last_sequence = ?", (last,))

        self._database.persist(insert, self._inserts)
        self._committed_sequence = last or self._committed_sequence

    def _announce(self, group: Sequence[Append]) -> None:
        for one in group:
            try:
                if one.on_committed is not None:
                    one.on_committed()
            except Exception as error:
                self._fail(OutboxError(f"{self.path}: a caller's on_committed raised {error!r}"))
            one.future.set_result(None)
        self._database.tell()

    def _fail(self, failure: OutboxError) -> None:
        log.error("outbox_failed", path=str(self.path), reason=str(failure))
        self._failure = failure

    def _refuse(self, group: Sequence[Append]) -> None:
        for one in group:
            one.future.set_exception(self._failure)
