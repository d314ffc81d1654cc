"""The durable outbox: what is committed here is delivered, whatever the network does.

Appends are committed in their order by one writer thread, several in one transaction when they
come close together. The first commit that fails is the last one tried, so what is on disk is
always a gap-free beginning of what was appended. Only a disk that is full is waited for.

Each SQLite connection has one user: the writer thread has the one that inserts (synchronous FULL),
the courier's thread the one behind `lease` and what follows from it (NORMAL: a deletion lost with
the power is a duplicate, never a loss), the Keeper its own, `depth` one that reads. All take `turn` to
write. They are open from the start: nothing here needs another file while it runs.

A row that is not what was committed is never handed out: it is put aside as a dead letter, with an event.
"""

from __future__ import annotations

import queue
import shutil
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TypeVar, cast

import structlog

from agent.clock import Clock
from agent.contract.row import KINDS, Changed, Kind, Row, Waiting
from agent.outbox import age, waiting
from agent.outbox import file as outbox_file
from agent.outbox.age import Age, Anchor
from agent.outbox.appends import Append, next_group
from agent.outbox.compact import compact
from agent.outbox.file import DamagedError, Depth, FullError, OutboxError, explained
from agent.outbox.mend import open_or_mend
from agent.outbox.reserve import Reserve
from agent.outbox.salvage import Salvage
from agent.outbox.seal import seal
from agent.outbox.waiting import Stamp

GROUP_NS = 5_000_000
APPENDS_WAITING = 256
_LAST_VERDICT = "FROM record WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1"
RETRY_S = 1.0  # on a full disk

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Outbox:
    """Rows between the line and the broker, in one SQLite file."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.path = path
        self.salvaged: Salvage | None = None  # of a damaged file, and not told yet; after `open`
        self.unshrinkable: str | None = None  # why an old file does not give room back, after `open`
        self.turn = threading.Lock()  # to write; SQLite's own wait is a poll
        self._clock = clock
        self._queue: queue.Queue[Append | None] = queue.Queue(maxsize=APPENDS_WAITING)
        self._gate = threading.Lock()  # the order of appends
        self._reading = threading.Lock()
        self._writer: threading.Thread | None = None
        self._closing = threading.Event()
        self._room = threading.Event()
        self._room.set()
        self._disk_full = False
        self._failure: OutboxError | None = None
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._event_of: Callable[[Changed], Row] | None = None
        self._appended_sequence = 0
        self._committed_sequence = 0

    def open(self) -> None:
        """Open, mend or create the file and start the writer. Raises OutboxError."""
        self._lock: IO[str] = outbox_file.lock(self.path)
        try:
            try:
                self._opened = self._open_file()
            except DamagedError:  # there is word of it now, and it is mended
                self._opened = self._open_file()
        except BaseException:
            self._lock.close()
            raise
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    def _open_file(self) -> ExitStack:
        with ExitStack() as opened:
            try:
                self._connect(opened)
            except (sqlite3.Error, OSError) as error:
                raise outbox_file.explained_any(self.path, error) from error
            return opened.pop_all()

    def _connect(self, opened: ExitStack) -> None:
        open_or_mend(self.path, clock=self._clock)
        self.unshrinkable = compact(self.path, free_bytes=shutil.disk_usage(self.path.parent).free)
        self._reserve = Reserve(self.path)
        opened.callback(self._reserve.close)
        self._deletes = outbox_file.connect(self.path, synchronous="NORMAL")
        opened.callback(self._deletes.close)
        self._inserts = outbox_file.connect(self.path, synchronous="FULL")
        opened.callback(self._inserts.close)
        self._reads = outbox_file.connect_to_read(self.path)
        opened.callback(self._reads.close)  # first: the last one to close empties the log, and must write
        with outbox_file.transaction(self._deletes):
            waiting.resend(self._deletes)
            then, now = age.read_anchor(self._deletes), age.moment(self._clock)
            self.age = Age(Anchor(moment=now, lived_ns=age.lived_ns(then, now)), self._clock)
            self.age.note(self._deletes)
        report = self._deletes.execute("SELECT report FROM salvage").fetchone()
        self.salvaged = None if report is None else Salvage.of_json(report[0])
        (last,) = self._deletes.execute("SELECT last_sequence FROM progress").fetchone()
        self._appended_sequence = self._committed_sequence = int(last)
        self._reads.execute("SELECT 1 FROM progress").fetchone()  # opens the log, too

    def about_to_close(self) -> None:
        """Wait no more, for room or for a full disk: a stop must not hang."""
        self._closing.set()

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
        self._lock.close()

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
        return self._disk_full

    def last_sequence(self) -> int:
        """The last committed verdict sequence, delivered or not; 0 before the first."""
        return self._committed_sequence

    def last_id(self) -> str | None:
        """Of the last committed verdict that is still there."""
        with self._reading:
            found = self._reads.execute(f"SELECT id {_LAST_VERDICT}").fetchone()
        return None if found is None else str(found[0])

    def when_changed(self, event_of: Callable[[Changed], Row]) -> None:
        """Have the event that `event_of` gives committed with a row that is put aside."""
        self._event_of = event_of

    def when_committed(self, listener: Callable[[], None]) -> None:
        """Have `listener` called in the writer thread after every commit; it must be quick."""
        self._listeners = (*self._listeners, listener)

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
            self._queue.put(Append(rows=sealed, last=last, on_committed=on_committed, future=future))
        return future

    def lease(
        self,
        limit: int,
        *,
        kinds: Collection[Kind] = KINDS,
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
                self.put_aside(row, self._deletes)

    def put_aside(self, changed: Changed, database: sqlite3.Connection) -> None:
        """A row that is not what was committed: a dead letter and an event, on the caller's connection."""
        reason = "it is not what was committed: its digest differs"
        log.error("row_changed", path=str(self.path), row=changed.words())
        told = None if self._event_of is None else self._event_of(changed)
        self.persist(lambda: waiting.put_aside(database, changed, reason, told, self.stamp()), database)
        self.tell()

    def delivered(self, seqs: Collection[int]) -> None:
        """The broker has these rows. For the courier's thread, as the next two."""
        self.persist(lambda: waiting.delivered(self._deletes, seqs), self._deletes)

    def await_confirmation(self, seqs: Collection[int], round_: int) -> None:
        """The broker has these verdicts; they stay until the MES says that it has them."""
        self.persist(lambda: waiting.await_confirmation(self._deletes, seqs, round_), self._deletes)

    def resend(self, before_round: int) -> int:
        """Queue again what was published before a round and is not confirmed; how many."""
        return self.persist(lambda: waiting.resend(self._deletes, before_round), self._deletes)

    def persist(self, action: Callable[[], T], database: sqlite3.Connection) -> T:
        """Do it on the caller's connection in one transaction; on a full disk again and again.

        Raises OutboxError: for anything else, and for a full disk once the outbox is about to close.
        """

        def done() -> T:
            with self.turn, outbox_file.transaction(database):
                return action()

        return self._with_room(done)

    def _with_room(self, action: Callable[[], T]) -> T:
        while True:
            try:
                done = action()
            except (sqlite3.Error, OSError) as error:
                failure = outbox_file.explained_any(self.path, error)
                if not isinstance(failure, FullError) or self._closing.is_set():
                    raise failure from error
                if not self._disk_full:
                    log.error("disk_full", path=str(self.path), reason=str(failure))
                self._disk_full = True
                self._closing.wait(RETRY_S)
            else:
                self._disk_full = False
                return done

    def hold(self) -> None:
        """Commit no more until `release` or `close`: appends queue up, then block."""
        self._room.clear()

    def release(self) -> None:
        self._room.set()

    def tell(self) -> None:
        """Call the listeners: something was committed."""
        for listener in self._listeners:
            listener()

    def depth(self) -> Depth:
        """What waits; from any thread."""
        if self._writer is None:
            return outbox_file.read_depth(self.path, clock=self._clock)
        try:
            with self._reading:
                return outbox_file.measure(self._reads, self._clock)
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def stamp(self) -> Stamp:
        """Of what is committed now."""
        wall_ns = round(self._clock.utc_now().timestamp() * 1e9)
        return Stamp(wall_ns=wall_ns, lived_ns=self.age.now_ns())

    def _write(self) -> None:
        busy = False  # appends came together in the last group, so waiting for company pays
        started_ns = 0
        open_ = True
        while open_:
            group, open_ = next_group(self._queue, self._clock, started_ns + GROUP_NS if busy else 0)
            busy, started_ns = len(group) > 1, self._clock.monotonic_ns()
            while not (self._room.wait(RETRY_S) or self._closing.is_set()):
                pass
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

    def _commit(self, group: Sequence[Append]) -> None:
        rows = [row for one in group for row in one.rows]
        last = max((one.last for one in group if one.last is not None), default=None)
        self._with_room(lambda: self._reserve.cover(last or 0))

        def insert() -> None:
            waiting.insert_sealed(self._inserts, rows, self.stamp())
            if last is not None:
                self._inserts.execute("UPDATE progress SET last_sequence = ?", (last,))

        self.persist(insert, self._inserts)
        self._committed_sequence = last or self._committed_sequence

    def _announce(self, group: Sequence[Append]) -> None:
        for one in group:
            try:
                if one.on_committed is not None:
                    one.on_committed()
            except Exception as error:
                self._fail(OutboxError(f"{self.path}: a caller's on_committed raised {error!r}"))
            one.future.set_result(None)
        self.tell()

    def _fail(self, failure: OutboxError) -> None:
        log.error("outbox_failed", path=str(self.path), reason=str(failure))
        self._failure = failure

    def _refuse(self, group: Sequence[Append]) -> None:
        for one in group:
            one.future.set_exception(self._failure)
