"""Where a chain is read from: an outbox, a folder of a folder gateway, or what an MES kept.

Of an MES these are JSON Lines, a record in each as it came, or an SQLite database whose tables have records
in a column `body`, as those of deploy/mes have. Nothing is written, and an outbox may be in use.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.chain.entry import Entry, Unchained, of_payload
from agent.chain.segments import Span
from agent.chain.walked import Known
from agent.contract.chain import LINK_BYTES, SEGMENT_BYTES, chained
from agent.contract.row import KINDS
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.outbox import chain
from agent.outbox import file as outbox_file
from agent.outbox.chain import Tip
from agent.outbox.salvage import Salvage
from agent.outbox.seal import CROP, JSON, PLACE_BYTES, RECORD_COLUMNS, is_digest, is_typed

SQLITE = b"SQLite format 3\0"
PICTURES = "crops"  # folder of a folder gateway
LINE_BYTES = 16 << 20
SAID = {  # columns of the tables of deploy/mes that are members of the record beside them
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


class SourceError(PlumblineError):
    """Nothing of a chain can be read there; names the file and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """What is there and is no record as it should be."""

    where: str
    why: str


@dataclass(slots=True, kw_only=True)
class Source:
    """Everything that was read."""

    entries: list[Entry] = field(default_factory=list)
    unchained: list[Unchained] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)
    known: Known = field(default_factory=Known)
    pictures: int = 0  # files that are what their verdicts name


def read(path: Path) -> Source:
    """Raises SourceError, and OutboxError for an outbox that cannot be read."""
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists() and not path.is_file():  # reading a pipe or device may never end
            raise SourceError(f"{shown(str(path))}: is neither file nor folder; give a file of records")
        with path.open("rb") as file:
            is_database = file.read(len(SQLITE)) == SQLITE
        if is_database:
            return _outbox(path) if "record" in _tables(path) else _kept(path)
        source = Source()
        _lines(path, source, may_be_cut=False)
        if not (source.entries or source.unchained or source.odd):
            raise SourceError(f"{shown(str(path))}: there is no record in it")
    except OSError as error:
        raise SourceError(
            f"{shown(str(path))}: {error.strerror}; give an outbox, the folder of a folder gateway, or a "
            "file of records as they came"
        ) from error
    return source


def _folder(path: Path) -> Source:
    source = Source()
    files = sorted(path.glob("*.jsonl"))
    if not files:
        raise SourceError(f"{shown(str(path))}: no *.jsonl in it; give the folder of a folder gateway")
    for file in files:
        if file.is_file():
            _lines(file, source, may_be_cut=True)
        else:
            source.odd.append(Odd(where=str(file), why="it is no file"))
    named = {picture.crop_id: picture.sha256 for entry in source.entries for picture in entry.pictures}
    for file in sorted(path.glob(f"{PICTURES}/*/*")):
        wanted = next((named[one] for one in _ids(file.stem) if one in named), None)
        if wanted is None or file.name.startswith("."):
            continue
        if not file.is_file():
            source.odd.append(
                Odd(where=str(file), why="it is no file, and a verdict names it as its picture")
            )
            continue
        found = hashlib.sha256(file.read_bytes()).digest()
        if found == wanted:
            source.pictures += 1
        else:
            why = f"its SHA-256 is {found.hex()}, and its verdict names {wanted.hex()}"
            source.odd.append(Odd(where=str(file), why=why))
    return source


def _ids(stem: str) -> Iterator[str]:
    """What a crop's id may be, in RESULT-CROP; both may have hyphens."""
    for place, sign in enumerate(stem):
        if sign == "-":
            yield stem[place + 1 :]


def _lines(path: Path, source: Source, *, may_be_cut: bool) -> None:
    """`may_be_cut`: its last line may be on its way."""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES), b""), 1):
            if line.strip() and not (may_be_cut and not line.endswith(b"\n")):
                _take(source, line.rstrip(b"\r\n"), f"{path}:{number}")


def _take(source: Source, payload: bytes, where: str, topic: object = None) -> None:
    """`topic`: its station's, where that is kept beside the record."""
    try:
        found = of_payload(payload, where)
    except ValueError as error:
        source.odd.append(Odd(where=where, why=f"it is no record: {shown(str(error))}"))
        return
    if isinstance(found, Entry):
        source.entries.append(replace(found, topic=topic) if isinstance(topic, str) else found)
    else:
        source.unchained.append(found)


def _tables(path: Path) -> set[str]:
    with outbox_file.reading(path) as database:
        return {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master")}


def _kept(path: Path) -> Source:
    """Of an MES: every table with a column `body`."""
    source = Source()
    with outbox_file.reading(path) as database:
        tables = [
            str(table)
            for (table,) in database.execute(
                """SELECT made.name FROM sqlite_master AS made JOIN pragma_table_info(made.name) AS info
                WHERE made.type = 'table' AND info.name = 'body' ORDER BY made.name"""
            )
        ]
        if not tables:
            raise SourceError(
                f"{shown(str(path))}: neither an outbox nor a database with records in a column `body`"
            )
        for table in tables:
            quoted = table.replace('"', '""')
            columns = {str(info[1]) for info in database.execute(f'PRAGMA table_info("{quoted}")')}
            topic = "source" if "source" in columns else "NULL"
            told = [one for one in SAID.get(table, ()) if columns >= {*SAID[table], "arrival", "source"}]
            rows = database.execute(
                f'SELECT {", ".join(("rowid", topic, "CAST(body AS BLOB)", *told))} FROM "{quoted}" '
                "ORDER BY rowid"
            )
            for rowid, topic, body, *values in rows:
                where = f"{path}: {table} {rowid}"
                _take(source, bytes(body or b""), where, topic)
                if (why := _altered(body, dict(zip(told, values, strict=True)))) is not None:
                    source.odd.append(Odd(where=where, why=why))
    return source


def _altered(body: bytes | None, columns: Mapping[str, object]) -> str | None:
    """What a column says that the record beside it does not."""
    try:
        said = json.loads(body or b"") if columns else {}
    except (ValueError, RecursionError):  # it is told of
        return None
    for column, value in columns.items():
        if isinstance(said, dict) and column in said and said[column] != value:
            return shown(
                f"changed beside its record: column {column} says {value!r}, the record {said[column]!r}"
            )
    return None


def _outbox(path: Path) -> Source:
    source = Source()
    with outbox_file.reading(path) as database, closing(database.cursor()) as cursor:
        outbox_file.check_version(database, path)
        cursor.execute("BEGIN")  # all at one moment
        tip = _tip(source, database, path)
        for seq, *columns in cursor.execute(f"SELECT seq, {RECORD_COLUMNS} FROM record ORDER BY seq"):
            _take_row(source, seq, columns, f"{path}: row {seq}")
        for seq, number, sequence, place, digest in database.execute(
            "SELECT seq, class, sequence, chain, digest FROM gone ORDER BY seq"
        ):
            where = f"{path}: digest of row {seq}"
            if not isinstance(place, bytes) or not isinstance(digest, bytes) or len(place) != PLACE_BYTES:
                source.odd.append(Odd(where=where, why="it is none"))
                continue
            entry = Entry(
                where=where,
                chained=chained(place, seq),
                digest=digest,
                kind=_kind(number),
                sequence=sequence,
                gone=True,
            )
            source.entries.append(entry)
        report = database.execute("SELECT report FROM salvage").fetchone()
        database.rollback()
    lost = _lost(source, report, path)
    if tip is None:
        return source
    segments = {one.chained.segment for one in source.entries}
    others = segments - {tip.segment}
    if others == segments and segments and not tip.is_new:
        why = f"it is said to be in segment {tip.segment.hex()}, of which there is nothing"
        source.odd.append(Odd(where=f"{path}: end of the chain", why=why))
    source.known = Known(
        tips={} if tip.is_new else {tip.segment: (tip.number, tip.link)},
        firsts={tip.segment: tip.first},
        lost=dict.fromkeys(others, lost),
    )
    return source


def _tip(source: Source, database: sqlite3.Connection, path: Path) -> Tip | None:
    """None where the file's own word of it is none, which is told."""
    rows = database.execute("SELECT segment, number, link, first FROM chain").fetchall()
    if [tuple(map(type, row)) for row in rows] == [(bytes, int, bytes, int)]:
        tip = chain.tip(database)
        if (len(tip.segment), len(tip.link)) == (SEGMENT_BYTES, LINK_BYTES):
            return tip
    source.odd.append(Odd(where=f"{path}: end of the chain", why="it is none"))
    return None


def _lost(source: Source, report: tuple[Any] | None, path: Path) -> tuple[Span, ...]:
    try:
        return () if report is None else Salvage.of_json(report[0]).lost_rows
    except (ValueError, TypeError, AttributeError):
        source.odd.append(Odd(where=f"{path}: report of what was saved", why="it is none"))
        return ()


def _take_row(source: Source, seq: int, columns: list[Any], where: str) -> None:
    """Rows come by their numbers."""
    *content, found, place = columns
    number, payload = content[1], content[6] if isinstance(content[6], bytes) else b""
    if not isinstance(place, bytes) or len(place) not in (0, PLACE_BYTES):
        source.odd.append(Odd(where=where, why="its place in the chain is none"))
    elif place:
        is_whole = is_typed(columns) and is_digest(found, content, place)
        entry = Entry(
            where=where,
            chained=chained(place, seq),
            digest=hashlib.sha256(payload).digest(),
            kind=_kind(number),
            sequence=content[5],
            problem=None if is_whole else "the digest that its file has of it differs",
        )
        is_json = content[4] == JSON and number != CROP
        source.entries.append(_as_it_says(entry, payload) if is_json else entry)
    elif source.entries:
        source.odd.append(Odd(where=where, why="it has no place in the chain, and others before it have"))
    else:
        old = Unchained(where=where, kind=_kind(number), station=None, sequence=content[5], boot_id=None)
        source.unchained.append(old)


def _as_it_says(entry: Entry, payload: bytes) -> Entry:
    try:
        found = of_payload(payload, entry.where)
    except ValueError:
        return entry
    head = payload if found.kind == "head" else None
    return replace(entry, kind=found.kind, station=found.station, boot_id=found.boot_id, head=head)


def _kind(number: object) -> str:
    return KINDS[number] if isinstance(number, int) and 0 <= number < len(KINDS) else "unknown"
