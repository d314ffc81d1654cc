"""The outbox's file for one process: held and mended, written in turns, waited for while the disk is full.

Outbox, Keeper and Cursor each take one Database and have connections of their own to it; a connection has
one user at a time. What they share is here: whose turn it is to write, the outbox's own time, what is done
about a row that was changed, and who is told of a commit.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Literal, TypeVar

import structlog

from agent.clock import Clock
from agent.contract.row import Changed, Row
from agent.outbox import age, place, waiting
from agent.outbox import file as outbox_file
from agent.outbox.age import Age, Anchor
from agent.outbox.compact import compact
from agent.outbox.file import DamagedError, FullError, explained_any
from agent.outbox.mend import open_or_mend
from agent.outbox.salvage import Salvage
from agent.outbox.waiting import Stamp

RETRY_S = 1.0  # on a full disk

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Database:
    """From `open` to `close` the file is this process's; every method raises OutboxError when it fails."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.salvaged: Salvage | None = None  # of a damaged file, and not told yet; after `open`
        self.unshrinkable: str | None = None  # why an old file does not give room back; after `open`
        self.last_sequence = 0  # as `open` found it
        self._turn = threading.Lock()  # to write; SQLite's own wait is a poll
        self._closing = threading.Event()
        self._room = threading.Event()
        self._room.set()
        self._disk_full = False
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._event_of: Callable[[Changed], Row] | None = None

    def open(self) -> None:
        """Hold the file, mend or create it, and have what was on its way wait again."""
        self._lock: IO[str] = place.lock(self.path)
        try:
            try:
                self._prepare()
            except DamagedError:  # there is word of it now, and it is mended
                self._prepare()
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """All connections must be closed."""
        self._lock.close()

    def _prepare(self) -> None:
        with self.explained():
            open_or_mend(self.path, clock=self.clock)
            self.unshrinkable = compact(self.path, free_bytes=shutil.disk_usage(self.path.parent).free)
            with closing(self.connect("NORMAL")) as connection:
                with outbox_file.transaction(connection):
                    waiting.resend(connection)
                    then, now = age.read_anchor(connection), age.moment(self.clock)
                    self._age = Age(Anchor(moment=now, lived_ns=age.lived_ns(then, now)), self.clock)
                    self._age.note(connection)
                report = connection.execute("SELECT report FROM salvage").fetchone()
                (last,) = connection.execute("SELECT last_sequence FROM progress").fetchone()
        self.salvaged = None if report is None else Salvage.of_json(report[0])
        self.last_sequence = int(last)

    def connect(self, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
        """One to write with; the caller closes it. NORMAL: the last commits may be lost with the power."""
        with self.explained():
            return outbox_file.connect(self.path, synchronous=synchronous)

    def connect_to_read(self) -> sqlite3.Connection:
        with self.explained():
            return outbox_file.connect_to_read(self.path)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What SQLite and the system say, as OutboxError."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise explained_any(self.path, error) from error

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else writes."""
        with self.explained(), self._turn:
            yield

    @contextmanager
    def write(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """One transaction, tried once."""
        with self.explained(), self._turn, outbox_file.transaction(connection):
            yield connection

    def persist(self, action: Callable[[], T], connection: sqlite3.Connection) -> T:
        """Do it on the caller's connection in one transaction; on a full disk again and again.

        Raises OutboxError: for anything else, and for a full disk once it is about to close.
        """

        def done() -> T:
            with self._turn, outbox_file.transaction(connection):
                return action()

        return self.with_room(done)

    def with_room(self, action: Callable[[], T]) -> T:
        """The same for what is no transaction."""
        while True:
            try:
                done = action()
            except (sqlite3.Error, OSError) as error:
                failure = explained_any(self.path, error)
                if not isinstance(failure, FullError) or self._closing.is_set():
                    raise failure from error
                if not self._disk_full:
                    log.error("disk_full", path=str(self.path), reason=str(failure))
                self._disk_full = True
                self._closing.wait(RETRY_S)
            else:
                self._disk_full = False
                return done

    @property
    def disk_full(self) -> bool:
        """The disk takes no more; what could not be written is tried again and again."""
        return self._disk_full

    def about_to_close(self) -> None:
        """Wait no more, for room or for a full disk: a stop must not hang."""
        self._closing.set()

    def hold(self) -> None:
        """Have no more appends committed until `release` or `about_to_close`: they queue up, then block."""
        self._room.clear()

    @property
    def held(self) -> bool:
        return not (self._room.is_set() or self._closing.is_set())

    def release(self) -> None:
        self._room.set()

    def wait_while_held(self) -> None:
        while not (self._room.wait(RETRY_S) or self._closing.is_set()):
            pass

    def stamp(self) -> Stamp:
        """Of what is committed now."""
        wall_ns = round(self.clock.utc_now().timestamp() * 1e9)
        return Stamp(wall_ns=wall_ns, lived_ns=self._age.now_ns())

    def note_age(self, connection: sqlite3.Connection) -> None:
        """Now and then have the file know how old it is; in the caller's transaction."""
        if self._age.is_due():
            self._age.note(connection)

    def when_committed(self, listener: Callable[[], None]) -> None:
        """Have `listener` called in the committing thread after every commit; it must be quick."""
        self._listeners = (*self._listeners, listener)

    def tell(self) -> None:
        """Call the listeners: something was committed."""
        for listener in self._listeners:
            listener()

    def when_changed(self, event_of: Callable[[Changed], Row]) -> None:
        """Have the event that `event_of` gives committed with a row that is put aside."""
        self._event_of = event_of

    def put_aside(self, changed: Changed, connection: sqlite3.Connection) -> None:
        """A row that is not what was committed: a dead letter and an event."""
        reason = "it is not what was committed: its digest differs"
        log.error("row_changed", path=str(self.path), row=changed.words())
        told = None if self._event_of is None else self._event_of(changed)
        connection.execute("PRAGMA synchronous = FULL")  # the event is published, and must stay
        try:
            self.persist(
                lambda: waiting.put_aside(connection, changed, reason, told, self.stamp()), connection
            )
        finally:
            connection.execute("PRAGMA synchronous = NORMAL")
        self.tell()
