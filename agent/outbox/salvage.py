"""What can be read of a damaged outbox goes into a fresh one, in order; what was lost is counted and named.

Rows keep their numbers. A row that waited, waits; one of which nothing says whether the broker has it, waits,
too: consumers take it once by its id. A row that is not as it was committed counts as lost.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.contract.chain import LINK_BYTES
from agent.contract.row import KINDS
from agent.outbox import reserve, sqlite_pages, wreck
from agent.outbox.file import (
    REPLAY_CLASS,
    START,
    OutboxError,
    connect,
    explained,
    explained_os,
    transaction,
)
from agent.outbox.place import check_place, lock
from agent.outbox.schema import CREATE
from agent.outbox.seal import CROP, PLACE_BYTES, digest_of
from agent.outbox.sqlite_pages import Pages
from agent.outbox.wreck import Saved, Wreck

ROWS_AT_ONCE = 500
SPANS_NAMED = 100
_RECORD = """INSERT OR IGNORE INTO record (seq, id, class, topic, properties, content_type, size, created_ns,
sequence, payload, evict, digest, lived_ns, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What became of a damaged file's rows."""

    file: str  # where the damaged one lies
    waiting: dict[str, int]  # rows that wait again, by kind
    delivered: int  # rows kept for replay and gateways
    lost: int  # rows that there were, as far as anything says so
    lost_verdicts: int
    lost_sequences: tuple[tuple[int, int], ...]  # first and last of each gap, at most SPANS_NAMED of them
    changed: int  # of the lost, rows that could be read and are not what was committed
    next_sequence: int
    cursors_lost: bool  # gateways get every row that is left, also those that they had
    lost_rows: tuple[tuple[int, int], ...] = ()  # first and last of each gap among the rows of a chain

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def of_json(text: str) -> Salvage:
        said = json.loads(text)
        for name in ("lost_sequences", "lost_rows"):
            said[name] = tuple((first, last) for first, last in said.get(name, ()))
        return Salvage(**said)

    @property
    def is_whole(self) -> bool:
        return not self.lost and not self.lost_verdicts and not self.cursors_lost

    def words(self) -> str:
        """One sentence for people."""
        rows = sum(self.waiting.values())
        spans = ", ".join(f"{first} to {last}" for first, last in self.lost_sequences[:5])
        more = ", and more" if len(self.lost_sequences) > 5 else ""
        lost = f"{self.lost} rows are lost, {self.lost_verdicts} verdicts among them"
        return (
            f"{rows} rows wait again and {self.delivered} delivered ones are kept; {lost}"
            f"{f' (sequence {spans}{more})' if spans else ''}; the next sequence is {self.next_sequence}"
            f"{'; gateways are given all that is left once more' if self.cursors_lost else ''}"
        )


def salvage(damaged: Path, into: Path, *, named: Path, reserved: int) -> Salvage:
    """Make `into` an outbox of what `damaged` still has; it must not exist, and does not after an error.

    `named`: where the damaged file will lie. `reserved`: sequences up to it may have been given, should the
    file not say itself. Raises OutboxError.
    """
    try:
        with sqlite_pages.opened(damaged) as pages:
            try:
                return _salvage(pages, into, str(named), reserved)
            except BaseException:
                discard(into)
                raise
    except OSError as error:
        raise explained_os(damaged, error) from error
    except sqlite3.Error as error:
        failure = explained(into, error)
        raise type(failure)(f"{damaged}: what can be read of it cannot be written: {failure}") from error


def salvage_by_hand(damaged: Path, into: Path) -> Salvage:
    """The same where people ask for it. Raises OutboxError, also when an agent has the file open."""
    if not damaged.is_file():
        raise OutboxError(f"{damaged}: there is no such file; name a damaged outbox")
    if into.exists():
        raise OutboxError(
            f"{into}: it is there already, and is not written over; name another file with --into"
        )
    check_place(into)
    if damaged.with_name(damaged.name + ".lock").exists():
        lock(damaged).close()
    done = salvage(damaged, into, named=damaged, reserved=reserve.read(damaged))
    if not done.next_sequence > 1 and not sum(done.waiting.values()) + done.delivered:
        discard(into)
        raise OutboxError(f"{damaged}: nothing in it can be read as a row of an outbox")
    return done


def discard(path: Path) -> None:
    """Remove an outbox that was not finished."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _salvage(pages: Pages, into: Path, named: str, reserved: int) -> Salvage:
    left = wreck.read(pages)
    with closing(connect(into, synchronous="NORMAL")) as database:
        database.execute("PRAGMA journal_mode = MEMORY")  # a file that is not finished is thrown away
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.executescript(CREATE)
        rows = _Rows(database, left)
        for one in wreck.saved(pages, left):
            rows.take(one)
        rows.flush()
        told = _tell(left, rows, named, reserved)
        with transaction(database):
            _write_beside(database, left, rows, told)
    descriptor = os.open(into, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return told


class _Rows:
    """Writes records in bunches, each with its place among what waits or was delivered."""

    def __init__(self, database: sqlite3.Connection, left: Wreck) -> None:
        self._database = database
        self._left = left
        self._bunch: list[Saved] = []
        self.waiting: Counter[str] = Counter()
        self.delivered = 0
        self.seqs: set[int] = set()
        self.chained: set[int] = set()
        self.crops: set[int] = {seq for seq, kept in left.gone.items() if kept[0] == CROP}
        self.sequences: dict[int, int] = {}  # seq by sequence
        self.changed = 0

    def take(self, one: Saved | int) -> None:
        if isinstance(one, int):
            self._left.known.add(one)
            self.changed += 1
            return
        self._bunch.append(one)
        if len(self._bunch) == ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        with transaction(self._database):
            for one in self._bunch:
                self._write(one)
        self._bunch.clear()

    def _write(self, one: Saved) -> None:
        id_, number, topic, properties, content_type, sequence, payload, evict = one.content
        seq, size = one.seq, len(payload)
        values = (id_, number, topic, properties, content_type, size, one.created_ns)
        sealed = digest_of(one.content, one.place)
        added = self._database.execute(
            _RECORD, (seq, *values, sequence, payload, evict, sealed, one.lived_ns, one.place)
        ).rowcount
        if not added:  # a stale page has the same id or sequence at another place
            return
        self.seqs.add(seq)
        if one.place:
            self.chained.add(seq)
        if number == CROP:
            self.crops.add(seq)
        if sequence is not None:
            self.sequences[sequence] = seq
        had = seq in self._left.history
        waits = self._left.waiting.get(seq)
        if had:
            self._database.execute("INSERT INTO history VALUES (?)", (seq,))
            self.delivered += 1
        if not had or waits == REPLAY_CLASS:
            place = REPLAY_CLASS if had else number
            self._database.execute(
                "INSERT INTO waiting (seq, class, size) VALUES (?, ?, ?)", (seq, place, size)
            )
        if not had:
            self.waiting[KINDS[number]] += 1


def _tell(left: Wreck, rows: _Rows, named: str, reserved: int) -> Salvage:
    said = left.last_sequence
    if said is None or said > reserved > 0:  # the table is lost, or a number in it was changed
        said = max(reserved, *(one for one in left.sequences if one <= reserved or not reserved), 0)
    last = max(said, *rows.sequences, 0)
    if left.sequences_whole:  # it says which there were; without it every gap counts
        there = {sequence for sequence in left.sequences if sequence <= last}
        gone = tuple(spans(sorted(there - rows.sequences.keys())))
    else:
        first = min((*rows.sequences, *left.sequences, last + 1))
        gone = tuple(gaps(sorted(rows.sequences), first if rows.sequences else 1, last))
    lost = left.known - rows.seqs
    lost_verdicts = sum(end - start + 1 for start, end in gone)
    of_verdicts = sum(
        seq in lost and sequence <= last and sequence not in rows.sequences
        for sequence, seq in left.sequences.items()
    )
    nameless = len(lost - set(left.sequences.values()))  # rows that may have been the other verdicts
    return Salvage(
        file=named,
        waiting={kind: rows.waiting[kind] for kind in KINDS},
        delivered=rows.delivered,
        lost=len(lost) + max(0, lost_verdicts - of_verdicts - nameless),
        lost_verdicts=lost_verdicts,
        lost_sequences=gone[:SPANS_NAMED],
        changed=rows.changed,
        next_sequence=last + 1,
        cursors_lost=not left.cursors_whole,
        lost_rows=_lost_rows(left, rows),
    )


def _lost_rows(left: Wreck, rows: _Rows) -> tuple[tuple[int, int], ...]:
    """Gaps among the rows of a chain, with the crops beside them, which others go over by their verdicts.

    What is beyond SPANS_NAMED of them is in the last.
    """
    there = sorted(rows.chained | left.gone.keys())
    begin = min((*there[:1], *(() if there else left.known)), default=left.highest_seq + 1)
    gone = [
        (_beside(rows.crops, first, -1), _beside(rows.crops, last, 1))
        for first, last in gaps(there, begin, left.highest_seq)
    ]
    if len(gone) > SPANS_NAMED:
        gone[SPANS_NAMED - 1 :] = [(gone[SPANS_NAMED - 1][0], gone[-1][1])]
    return tuple(gone)


def _beside(crops: Collection[int], end: int, step: int) -> int:
    """Where a gap ends when crops that stand beside it belong to it."""
    while end + step in crops:
        end += step
    return end


def spans(numbers: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Sorted numbers as first and last of each unbroken run."""
    first = before = None
    for number in numbers:
        if first is None or before is None or number != before + 1:
            if first is not None and before is not None:
                yield first, before
            first = number
        before = number
    if first is not None and before is not None:
        yield first, before


def gaps(numbers: Sequence[int], first: int, last: int) -> Iterable[tuple[int, int]]:
    """What is missing among sorted numbers between two."""
    expected = first
    for number in numbers:
        if number > expected:
            yield expected, number - 1
        expected = max(expected, number + 1)
    if expected <= last:
        yield expected, last


def _write_beside(database: sqlite3.Connection, left: Wreck, rows: _Rows, told: Salvage) -> None:
    for letter in left.dead_letters:
        if letter[1] in rows.seqs:
            database.execute("INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?)", letter)
    for command in left.commands:
        database.execute("INSERT OR IGNORE INTO command VALUES (?, ?)", command)
    cursors = left.cursors if left.cursors_whole else {**left.cursors, START: 0}
    for name, seq in cursors.items():
        database.execute(
            "INSERT INTO cursor SELECT ?1, ?2, (SELECT COUNT(*) FROM record WHERE seq > ?2)", (name, seq)
        )
    database.execute(
        """UPDATE tally SET (rows, bytes) = (SELECT COUNT(*), COALESCE(SUM(size), 0) FROM waiting
        WHERE waiting.class = tally.class)"""
    )
    database.execute("UPDATE progress SET last_sequence = ?", (told.next_sequence - 1,))
    database.executemany(
        "INSERT INTO gone VALUES (?, ?, ?, ?, ?)",
        [
            (seq, *kept)
            for seq, kept in left.gone.items()
            if seq not in rows.seqs and [*map(len, kept[2:])] == [PLACE_BYTES, LINK_BYTES]
        ],
    )
    database.execute("UPDATE chain SET number = ?1, first = ?1 + 1", (left.highest_seq,))
    database.execute("DELETE FROM sqlite_sequence")
    database.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (left.highest_seq,))
    lived_ns = max(left.lived_ns, database.execute("SELECT MAX(lived_ns) FROM record").fetchone()[0] or 0)
    database.execute("UPDATE age SET lived_ns = ?", (lived_ns,))
    database.execute("INSERT INTO salvage VALUES (?)", (told.as_json(),))
