"""Whether what an outbox says of itself can be: pages that are whole may hold numbers that somebody changed.

Rows have digests (`seal.py`); the few small tables around them are held against each other.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.contract.chain import LINK_BYTES, SEGMENT_BYTES
from agent.outbox import reserve
from agent.outbox.schema import ADDED, NAMES

CLASSES = 5
LARGEST = 1 << 53  # of a number that counts rows

_SMALL = {"progress": 1, "age": 1, "chain": 1, "tally": CLASSES}
_INTEGERS = {
    "progress": ("last_sequence", "undigested"),
    "age": ("monotonic_ns", "wall_ns", "synced", "lived_ns"),
    "tally": ("class", "rows", "bytes"),
    "cursor": ("seq", "rows"),
    "chain": ("number", "first"),
}
_CHAIN_BYTES = (SEGMENT_BYTES, LINK_BYTES)
_NO_PLACE = """SELECT EXISTS (SELECT 1 FROM record
WHERE seq NOT IN (SELECT seq FROM waiting) AND seq NOT IN (SELECT seq FROM history))"""
_NO_RECORD = "SELECT EXISTS (SELECT 1 FROM waiting WHERE seq NOT IN (SELECT seq FROM record))"
# Each looks at one place of the index, however much waits.
_NO_CLASS = " UNION ALL ".join(
    f"SELECT * FROM (SELECT 1 FROM waiting WHERE class {between} LIMIT 1)"
    for between in (
        "< 0",
        f"> {CLASSES - 1}",
        *(f"> {number} AND class < {number + 1}" for number in range(CLASSES - 1)),
    )
)
_COUNTED = "SELECT class, COUNT(*) FROM waiting GROUP BY class"
_WEIGHED = "SELECT class, TOTAL(size) FROM waiting GROUP BY class"  # SUM raises for a number out of reason


def problem(database: sqlite3.Connection, path: Path) -> str | None:
    """What cannot be in a file of this schema's version; None when nothing was found. Quick at any size.

    Raises sqlite3.Error for damage on the way to the ends of the tables.
    """
    names = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if missing := NAMES - names:
        return f"without {', '.join(sorted(missing))}"
    for table, rows in _SMALL.items():
        (found,) = database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        if found != rows:
            return f"{found} rows in {table}"
    for table, columns in _INTEGERS.items():
        for column in columns:
            if database.execute(
                f"SELECT EXISTS (SELECT 1 FROM {table} WHERE typeof({column}) <> 'integer')"
            ).fetchone()[0]:
                return f"{table}.{column} is no number"
    for table in ("waiting", "record", "history"):
        database.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()
    return _numbers(database, path)


def deep_problem(database: sqlite3.Connection) -> str | None:
    """The same with a look at every row; for a file under suspicion."""
    if database.execute(_NO_PLACE).fetchone()[0]:
        return "a row that neither waits nor was delivered"
    if database.execute(_NO_RECORD).fetchone()[0]:
        return "what waits is not there"
    if not (_agree(database, "rows", _COUNTED) and _agree(database, "bytes", _WEIGHED)):
        return "a wrong count of what waits"
    return None


def is_later(names: set[str], version: int) -> bool:
    """Whether the tables are those of a later schema than the version says."""
    return any(0 < version < since and names >= added for since, added in ADDED.items())


def _numbers(database: sqlite3.Connection, path: Path) -> str | None:
    (last,) = database.execute("SELECT last_sequence FROM progress").fetchone()
    (highest_sequence,) = database.execute(
        "SELECT sequence FROM record WHERE sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1"
    ).fetchone() or (0,)
    reserved = reserve.read(path)
    if last < highest_sequence or not 0 <= last < LARGEST or last > reserved > 0:
        return f"the last sequence is said to be {last}"
    counted = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
    (highest,) = database.execute("SELECT MAX(seq) FROM record").fetchone()
    given = 0 if counted is None else counted[0]
    if not isinstance(given, int) or not (highest or 0) <= given < LARGEST:
        return f"the last row is said to be {given}"
    segment, number, link, first = database.execute(
        "SELECT segment, number, link, first FROM chain"
    ).fetchone()
    if [type(one) for one in (segment, link)] != [bytes, bytes] or (len(segment), len(link)) != _CHAIN_BYTES:
        return "the end of its chain is none"
    if number != given or not 0 < first <= given + 1:
        return f"its chain is said to go from row {first} to {number} of {given}"
    if database.execute("SELECT EXISTS (SELECT 1 FROM tally WHERE rows < 0 OR bytes < 0)").fetchone()[0]:
        return "a count below 0"
    if {number for (number,) in database.execute("SELECT class FROM tally")} != set(range(CLASSES)):
        return "another class in tally"
    if database.execute(_NO_CLASS).fetchone() is not None:
        return "another class in waiting"
    for name, seq in database.execute("SELECT name, seq FROM cursor"):
        if not 0 <= seq <= given:
            return f"the place of {name!r} is said to be {seq}"
    return None


def _agree(database: sqlite3.Connection, column: str, counted: str) -> bool:
    """Whether the tally says what is there, of every class and of no other."""
    said = dict(database.execute(f"SELECT class, {column} FROM tally").fetchall())
    return said == {**dict.fromkeys(range(CLASSES), 0), **dict(database.execute(counted).fetchall())}
