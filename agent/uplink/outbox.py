"""The durable outbox: what is committed here is delivered, whatever the network does.

Appends are committed in their order by one writer thread, several in one transaction when they
come close together. The first commit that fails is the last one tried, so what is on disk is
always a gap-free beginning of what was appended.

Each of the two SQLite connections has one user: the writer thread has the one that inserts
(synchronous FULL), the courier's thread the one behind `lease` and `delivered` (NORMAL: a
deletion lost with the power is a duplicate, never a loss). `depth` opens its own.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agent.clock import Clock
from agent.uplink import outbox_file
from agent.uplink.outbox_file import KINDS, Depth, Kind, OutboxError, explained, read_depth, transaction

GROUP_ROWS = 64
GROUP_NS = 5_000_000
APPENDS_WAITING = 256

_INSERT = """INSERT INTO outbox
(id, class, topic, properties, content_type, size, created_ns, sequence, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_COLUMNS = "seq, id, class, topic, properties, content_type, sequence, payload"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message to deliver. `sequence` is for verdicts: one more than the row's before it."""

    id: str  # unique for ever; consumers de-duplicate on it
    kind: Kind
    topic: str
    payload: bytes
    content_type: str
    properties: tuple[tuple[str, str], ...] = ()
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A committed row and its place in the order of commits."""

    seq: int
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Append:
    rows: tuple[Row, ...]
    on_committed: Callable[[], None] | None
    future: Future[None]


class Outbox:
    """Rows between the line and the broker, in one SQLite file."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._queue: queue.Queue[_Append | None] = queue.Queue(maxsize=APPENDS_WAITING)
        self._gate = threading.Lock()  # the order of appends
        self._writing = threading.Lock()  # writer and courier take turns; SQLite's own wait is a poll
        self._writer: threading.Thread | None = None
        self._failure: OutboxError | None = None
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._appended_sequence = 0
        self._committed_sequence = 0

    def open(self) -> None:
        """Open or create the file and start the writer. Raises OutboxError."""
        outbox_file.create_or_check(self.path)
        try:
            self._inserts = outbox_file.connect(self.path, synchronous="FULL")
            self._deletes = outbox_file.connect(self.path, synchronous="NORMAL")
            last = int(self._inserts.execute("SELECT last_sequence FROM progress").fetchone()[0])
        except sqlite3.Error as error:
            raise explained(self.path, error) from error
        self._appended_sequence = self._committed_sequence = last
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Commit what is queued and let go of the file. The courier must have stopped."""
        with self._gate:
            writer, self._writer = self._writer, None
            if writer is None:
                return
            self._queue.put(None)
        writer.join()
        self._inserts.close()
        self._deletes.close()

    @property
    def failure(self) -> OutboxError | None:
        """Why nothing is committed any more; None while all is well."""
        return self._failure

    def last_sequence(self) -> int:
        """The last committed verdict sequence, delivered or not; 0 before the first."""
        return self._committed_sequence

    def when_committed(self, listener: Callable[[], None]) -> None:
        """Have `listener` called in the writer thread after every commit; it must be quick."""
        self._listeners = (*self._listeners, listener)

    def append(self, rows: Sequence[Row], on_committed: Callable[[], None] | None = None) -> Future[None]:
        """Commit `rows` in one transaction, after everything appended before; blocks while 256 appends wait.

        The future ends with the commit or with the OutboxError that prevented it. `on_committed` is called
        in the writer thread and must not append. Raises ValueError for a sequence that leaves a gap.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it under the writer
        with self._gate:
            if self._writer is None:
                raise OutboxError(f"{self.path}: the outbox is closed; open it before appending")
            expected = self._appended_sequence
            for row in rows:
                if row.sequence is None:
                    continue
                expected += 1
                if row.sequence != expected:
                    raise ValueError(f"{row.id}: sequence {row.sequence} where {expected} comes next")
            self._appended_sequence = expected
            self._queue.put(_Append(rows=tuple(rows), on_committed=on_committed, future=future))
        return future

    def lease(
        self, limit: int, *, kinds: Collection[Kind] = KINDS, exclude: Collection[int] = ()
    ) -> tuple[Waiting, ...]:
        """The next rows to publish: verdicts, then events, then crops, each in the order of commits."""
        classes = [KINDS.index(kind) for kind in kinds]
        query = f"""SELECT {_COLUMNS} FROM outbox
            WHERE class IN ({_marks(classes)}) AND seq NOT IN ({_marks(exclude)})
            ORDER BY class, seq LIMIT ?"""
        try:
            found = self._deletes.execute(query, (*classes, *exclude, limit)).fetchall()
        except sqlite3.Error as error:
            raise explained(self.path, error) from error
        return tuple(_waiting(columns) for columns in found)

    def delivered(self, seqs: Collection[int]) -> None:
        """Delete rows that the broker has acknowledged."""
        try:
            with self._writing, transaction(self._deletes):
                self._deletes.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in seqs])
        except sqlite3.Error as error:
            raise explained(self.path, error) from error

    def depth(self) -> Depth:
        """What waits; from any thread."""
        return read_depth(self.path, clock=self._clock)

    def _write(self) -> None:
        busy = False  # appends came together in the last group, so waiting for company pays
        started_ns = 0
        open_ = True
        while open_:
            group, open_ = self._next_group(started_ns + GROUP_NS if busy else 0)
            busy, started_ns = len(group) > 1, self._clock.monotonic_ns()
            if self._failure is None:
                try:
                    self._commit(group)
                except Exception as error:
                    self._fail(explained(self.path, error))
                    self._refuse(group)
                else:
                    self._announce(group)
            else:
                self._refuse(group)

    def _next_group(self, closes_ns: int) -> tuple[list[_Append], bool]:
        """What waits now and what comes until `closes_ns`, and whether there is more to expect."""
        group: list[_Append] = []
        rows = 0
        while rows < GROUP_ROWS:
            left_s = (closes_ns - self._clock.monotonic_ns()) / 1e9
            try:
                one = self._queue.get(block=not group or left_s > 0, timeout=left_s if group else None)
            except queue.Empty:
                break
            if one is None:
                return group, False
            group.append(one)
            rows += len(one.rows)
        return group, True

    def _commit(self, group: Sequence[_Append]) -> None:
        created_ns = round(self._clock.utc_now().timestamp() * 1e9)
        rows = [row for one in group for row in one.rows]
        last = max((row.sequence for row in rows if row.sequence is not None), default=None)
        with self._writing, transaction(self._inserts):
            self._inserts.executemany(_INSERT, [_columns(row, created_ns) for row in rows])
            if last is not None:
                self._inserts.execute("UPDATE progress SET last_sequence = ?", (last,))
        self._committed_sequence = last or self._committed_sequence

    def _announce(self, group: Sequence[_Append]) -> None:
        for one in group:
            try:
                if one.on_committed is not None:
                    one.on_committed()
            except Exception as error:
                self._fail(OutboxError(f"{self.path}: a caller's on_committed raised {error!r}"))
            one.future.set_result(None)
        for listener in self._listeners:
            listener()

    def _fail(self, failure: OutboxError) -> None:
        log.error("outbox_failed", path=str(self.path), reason=str(failure))
        self._failure = failure

    def _refuse(self, group: Sequence[_Append]) -> None:
        for one in group:
            one.future.set_exception(self._failure)


def _columns(row: Row, created_ns: int) -> tuple[object, ...]:
    return (
        row.id,
        KINDS.index(row.kind),
        row.topic,
        json.dumps(row.properties, separators=(",", ":")),
        row.content_type,
        len(row.payload),
        created_ns,
        row.sequence,
        row.payload,
    )


def _waiting(columns: tuple[Any, ...]) -> Waiting:
    seq, id_, number, topic, properties, content_type, sequence, payload = columns
    row = Row(
        id=id_,
        kind=KINDS[number],
        topic=topic,
        payload=payload,
        content_type=content_type,
        properties=tuple((name, value) for name, value in json.loads(properties)),
        sequence=sequence,
    )
    return Waiting(seq=seq, row=row)


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
