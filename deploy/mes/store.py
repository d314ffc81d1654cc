"""What is kept in SQLite or PostgreSQL: records as they came, the state of stations, and what is gone."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from contract import ConsumerError, Place, UnreadableError, check_station, check_texts, parse, place, shown
from gaps import Gone, Island
from life import FULL, RECOVERED, Event, Life, Status
from marks import INSERT_MARK, Mark

POSTGRESQL = re.compile(r"postgresql://(?:[^@/?#]*@)?[^@]*")

TABLES = (
    """CREATE TABLE IF NOT EXISTS verdicts (
        arrival {identity},
        result_id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        station TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        camera TEXT NOT NULL,
        created TEXT NOT NULL,
        verdict TEXT NOT NULL,
        part_id TEXT,
        replayed INTEGER NOT NULL,
        body TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS verdicts_sequence ON verdicts (source, boot_id, sequence)",
    """CREATE TABLE IF NOT EXISTS unreadable (
        arrival {identity}, topic TEXT NOT NULL, reason TEXT NOT NULL, payload {bytes} NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS events (
        arrival {identity},
        event_id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        event TEXT NOT NULL,
        severity TEXT NOT NULL,
        created TEXT NOT NULL,
        detail TEXT NOT NULL,
        body TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS marks (
        arrival {identity},
        mark_id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        result_id TEXT NOT NULL,
        says TEXT NOT NULL,
        truth TEXT,
        label TEXT,
        who TEXT NOT NULL,
        created TEXT NOT NULL,
        body TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS marks_result ON marks (source, result_id, sequence)",
    """CREATE TABLE IF NOT EXISTS others (
        arrival {identity},
        sha256 TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS stations (
        source TEXT PRIMARY KEY,
        state TEXT, reason TEXT, since TEXT, told TEXT,
        sequence BIGINT, verdict_came TEXT)""",
    """CREATE TABLE IF NOT EXISTS gone (
        source TEXT NOT NULL, boot_id TEXT NOT NULL, first_gone BIGINT NOT NULL, last_gone BIGINT NOT NULL,
        UNIQUE (source, boot_id, first_gone, last_gone))""",
)
INSERT_UNREADABLE = "INSERT INTO unreadable (topic, reason, payload) VALUES (?, ?, ?)"
INSERT_EVENT = f"""INSERT INTO events ({", ".join(Event._fields)})
    VALUES ({", ".join("?" * len(Event._fields))}) ON CONFLICT (event_id) DO NOTHING"""
INSERT_OTHER = """INSERT INTO others (sha256, source, kind, body) VALUES (?, ?, ?, ?)
    ON CONFLICT (sha256) DO NOTHING"""
INSERT_GONE = """INSERT INTO gone (source, boot_id, first_gone, last_gone)
    VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"""
TELL_STATUS = """INSERT INTO stations (source, state, reason, since, told) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (source) DO UPDATE SET
        state = excluded.state, reason = excluded.reason, since = excluded.since, told = excluded.told"""
TELL_VERDICT = """INSERT INTO stations (source, sequence, verdict_came) VALUES (?, ?, ?)
    ON CONFLICT (source) DO UPDATE SET sequence = excluded.sequence, verdict_came = excluded.verdict_came"""
ISLANDS = """SELECT source, boot_id, MIN(sequence), MAX(sequence), MIN(arrival), MIN(replayed) FROM (
        SELECT source, boot_id, sequence, arrival, replayed,
            sequence - DENSE_RANK() OVER (PARTITION BY source, boot_id ORDER BY sequence) AS island
        FROM verdicts) AS numbered
    GROUP BY source, boot_id, island ORDER BY source, MIN(sequence)"""
LIVES = f"""SELECT known.source, state, reason, since, told, sequence, verdict_came, (
        SELECT event FROM events WHERE events.source = known.source AND event IN ('{FULL}', '{RECOVERED}')
        ORDER BY arrival DESC LIMIT 1)
    FROM (SELECT source FROM verdicts UNION SELECT source FROM stations UNION SELECT source FROM events)
        AS known
    LEFT JOIN stations ON stations.source = known.source ORDER BY known.source"""


WITH_BODIES = ("verdicts", "events", "marks", "others")
SAID = {  # columns that are members of the record, as they came
    "verdicts": (
        "result_id",
        "station",
        "boot_id",
        "sequence",
        "camera",
        "created",
        "verdict",
        "part_id",
        "replayed",
    ),
    "events": ("event_id", "event", "severity", "created", "detail"),
    "marks": ("mark_id", "sequence", "result_id", "says", "truth", "label", "who", "created"),
}
AT_ONCE = 5000  # rows that are read


class Other(NamedTuple):
    """A record that is only kept: a head, a part, an actuation."""

    sha256: str
    source: str
    kind: str
    body: str


class Verdict(NamedTuple):
    """The columns of one verdict; `source` is its topic down to the station."""

    result_id: str
    source: str
    station: str
    boot_id: str
    sequence: int
    camera: str
    created: str
    verdict: str
    part_id: str | None
    replayed: int
    body: str


INSERT = f"""INSERT INTO verdicts ({", ".join(Verdict._fields)})
    VALUES ({", ".join("?" * len(Verdict._fields))}) ON CONFLICT (result_id) DO NOTHING"""


def read(topic: str, payload: bytes) -> Verdict:
    """The verdict in a message. Raises UnreadableError."""
    where = place(topic)
    if where.kind != "verdict":
        raise UnreadableError("not the topic of a verdict")
    said, body = parse(payload, "plumbline.verdict/1")
    try:
        found = Verdict(
            result_id=said["result_id"],
            source=where.source,
            station=said["station"],
            boot_id=said["boot_id"],
            sequence=said["sequence"],
            camera=said["camera"],
            created=said["created"],
            verdict=said["verdict"],
            part_id=said["part_id"],
            replayed=int(said["replayed"] is True),
            body=body,
        )
    except KeyError as error:
        raise UnreadableError(f"not a verdict: {error!r}"[:500]) from None
    check_station(said, where)
    _check(found)
    return found


def read_other(where: Place, payload: bytes) -> Other:
    """Raises UnreadableError."""
    try:
        body = payload.decode()
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {error!r}"[:500]) from None
    check_station(said, where)
    check_texts([body])
    return Other(hashlib.sha256(payload).hexdigest(), where.source, where.kind, body)


def _check(found: Verdict) -> None:
    check_texts([found.result_id, found.station, found.boot_id, found.camera, found.created, found.verdict])
    check_texts([] if found.part_id is None else [found.part_id])
    if type(found.sequence) is not int or not 1 <= found.sequence < 2**63:
        raise UnreadableError(f"sequence: {found.sequence!r}"[:500])


class Database:
    """SQLite or PostgreSQL; every method is one transaction. Raises ConsumerError."""

    def __init__(self, url: str, *, may_make: bool = True) -> None:
        """`may_make`: without it a database without our tables is refused, and left as it is."""
        is_file = url.startswith("sqlite:///")
        self._name = url if is_file else url.rpartition("@")[2].partition("?")[0]  # without a password
        self._connection: Any
        self._error: type[Exception]
        self._path: Path | None = None
        if url.startswith("postgresql://"):
            if not POSTGRESQL.fullmatch(url):  # the driver would take a piece of the password for a host
                raise ConsumerError("--database: in user and password write @ / ? # as %40 %2F %3F %23")
            try:
                psycopg = importlib.import_module("psycopg")
            except ImportError:
                raise ConsumerError("PostgreSQL needs psycopg: pip install 'psycopg[binary]'") from None
            self._error, self._mark = psycopg.Error, "%s"
            types = {"identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "bytes": "BYTEA"}
            self._connection = self._explained(lambda: psycopg.connect(url))
        elif is_file and url.removeprefix("sqlite:///") not in ("", ":memory:"):
            self._error, self._mark = sqlite3.Error, "?"
            types = {"identity": "INTEGER PRIMARY KEY", "bytes": "BLOB"}
            self._path = Path(url.removeprefix("sqlite:///"))
            if not may_make and not self._path.is_file():
                raise ConsumerError(f"--database {url}: there is no such file; give the one that `run` has")
            self._connection = self._explained(lambda: sqlite3.connect(str(self._path), timeout=60))
        else:
            raise ConsumerError(
                f"--database {self._name}: give sqlite:///FILE or postgresql://USER@HOST/NAME"
            )
        if not may_make:
            self._explained(lambda: self._select("SELECT 1 FROM verdicts LIMIT 1"), "not a database of `run`")
        if self._path is not None:
            self._explained(self._share)
            self._identity = self._file()
        self._explained(lambda: self._create(types))

    def store(
        self,
        verdicts: Sequence[Verdict],
        unreadable: Sequence[tuple[str, str, bytes]],
        statuses: Sequence[Status] = (),
        events: Sequence[Event] = (),
        marks: Sequence[Mark] = (),
        others: Sequence[Other] = (),
        *,
        now: str | None = None,
    ) -> int:
        """Commit a batch that came at `now`; how many of the verdicts are new."""
        last = {one.source: one.sequence for one in verdicts if not one.replayed}
        came = [(source, sequence, now) for source, sequence in last.items()]

        def insert(cursor: Any) -> int:
            new = self._many(cursor, INSERT, verdicts)
            self._many(cursor, INSERT_UNREADABLE, unreadable)
            self._many(cursor, INSERT_EVENT, events)
            self._many(cursor, INSERT_MARK, marks)
            self._many(cursor, INSERT_OTHER, others)
            self._many(cursor, TELL_STATUS, statuses)
            self._many(cursor, TELL_VERDICT, came)
            return new

        return int(self._explained(lambda: self._commit(insert)))

    def bodies(self) -> Iterator[tuple[str, str, str]]:
        """Every record: where it is kept, its station's topic, and the record as it came."""
        for table in WITH_BODIES:
            for where, (source, body) in self._rows(table, ("source", "body")):
                yield where, source, body

    def altered(self) -> Iterator[str]:
        """Rows whose columns say another thing than the record beside them, in words."""
        for table, columns in SAID.items():
            for where, (body, *values) in self._rows(table, ("body", *columns)):
                try:
                    said = json.loads(body)
                except (ValueError, RecursionError):  # the chain tells of it
                    continue
                for column, value in zip(columns, values, strict=True):
                    if isinstance(said, dict) and column in said and said[column] != value:
                        yield shown(
                            f"{where}: changed beside its record: column {column} says {value!r}, the record "
                            f"{said[column]!r}"
                        )
                        break

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[str, Sequence[Any]]]:
        """In the order in which they came."""
        query = (
            f"SELECT arrival, {', '.join(columns)} FROM {table} WHERE arrival > ? "
            f"ORDER BY arrival LIMIT {AT_ONCE}"
        )
        last = -(1 << 62)
        while rows := self._explained(lambda: self._select(query, last)):  # noqa: B023 (called at once)
            yield from ((f"{table} {arrival}", values) for arrival, *values in rows)
            last = rows[-1][0]

    def note_gone(self, ranges: Sequence[Gone]) -> None:
        """Nobody has these any more; they are told as gone from now on."""
        self._explained(lambda: self._commit(lambda cursor: self._many(cursor, INSERT_GONE, ranges)))

    def islands(self) -> list[Island]:
        return [Island(*columns) for columns in self._explained(lambda: self._select(ISLANDS))]

    def gone(self) -> list[Gone]:
        query = "SELECT source, boot_id, first_gone, last_gone FROM gone"
        return [Gone(*columns) for columns in self._explained(lambda: self._select(query))]

    def lives(self) -> list[Life]:
        """What is known of each station, one that only ever had a status or an event included."""
        return [Life(*columns) for columns in self._explained(lambda: self._select(LIVES))]

    def close(self) -> None:
        self._connection.close()

    def _share(self) -> None:
        """Others can read while we write."""
        cursor = self._connection.cursor()
        mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise ConsumerError(f"{self._name}: no WAL there; put the database on a local disk")
        cursor.execute("PRAGMA synchronous = FULL")

    def _create(self, types: dict[str, str]) -> None:
        def create(cursor: Any) -> None:
            for table in TABLES:
                cursor.execute(table.format(**types))

        self._commit(create)

    def _commit(self, work: Callable[[Any], Any]) -> Any:
        done = work(self._connection.cursor())
        self._connection.commit()
        if self._path is not None and self._file() != self._identity:
            raise ConsumerError(
                f"{self._name}: the file was deleted or replaced while in use; what came last is not "
                "acknowledged and comes again: start again"
            )
        return done

    def _file(self) -> tuple[int, int] | None:
        """Which file stands at the path: SQLite would go on writing into one that was deleted."""
        assert self._path is not None
        try:
            there = self._path.stat()
        except OSError:
            return None
        return there.st_dev, there.st_ino

    def _many(self, cursor: Any, query: str, rows: Iterable[tuple[Any, ...]]) -> int:
        """How many rows it has changed."""
        rows = list(rows)
        if not rows:
            return 0
        cursor.executemany(query.replace("?", self._mark), rows)
        return int(cursor.rowcount)

    def _select(self, query: str, *values: object) -> list[Any]:
        cursor = self._connection.cursor()
        cursor.execute(query.replace("?", self._mark), values)
        found = list(cursor.fetchall())
        self._connection.commit()  # PostgreSQL holds a transaction open for reading, too
        return found

    def _explained(self, do: Callable[[], Any], doubt: str = "") -> Any:
        try:
            return do()
        except self._error as error:
            words = f"{doubt}: {error}" if doubt else str(error)
            raise ConsumerError(f"{self._name}: {words.strip()}") from error
