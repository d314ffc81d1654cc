"""What is left of a damaged outbox: every row that can still be read, and what is known of those that cannot.

Tables are read from their roots. Where a tree is broken, or its root is unknown, leaves that nothing leads to
are told apart by the shape of their rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from agent.contract.row import KINDS
from agent.foreign import stored
from agent.outbox import sqlite_trees as trees
from agent.outbox.file import REPLAY_CLASS, UNCONFIRMED_CLASS
from agent.outbox.seal import is_digest, is_plausible, is_typed
from agent.outbox.sound import LARGEST
from agent.outbox.sqlite_pages import Pages
from agent.outbox.sqlite_trees import Cell, Value

_ALL = (1 << 63) - 1
_FIRST_COLUMNS = 10  # of a record in every version
_DEFAULTS: tuple[Any, ...] = (1, b"", 0, b"")  # of later columns: evict, digest, lived_ns, chain
_WAITING_CLASSES = range(max(REPLAY_CLASS, UNCONFIRMED_CLASS) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A record's columns, as the table has them."""

    seq: int
    content: tuple[Any, ...]  # id, class, topic, properties, content_type, sequence, payload, evict
    place: bytes  # in the chain; empty for a row of before there was one
    created_ns: int
    lived_ns: int


@dataclass(slots=True, kw_only=True)
class Wreck:
    """`records` says where rows lie; `saved` reads one. All others are read already."""

    records: dict[int, Cell] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)  # class by seq
    history: set[int] = field(default_factory=set)
    gone: dict[int, tuple[Any, ...]] = field(default_factory=dict)  # what is kept of rows that left, by seq
    cursors: dict[str, int] = field(default_factory=dict)
    cursors_whole: bool = False
    dead_letters: list[tuple[Any, ...]] = field(default_factory=list)
    commands: list[tuple[Any, ...]] = field(default_factory=list)
    sequences: dict[int, int] = field(default_factory=dict)  # seq of each verdict, by an index
    sequences_whole: bool = False
    known: set[int] = field(default_factory=set)  # seqs of rows that there were, by indexes and tables
    last_sequence: int | None = None
    undigested: int = _ALL
    highest_seq: int = 0
    lived_ns: int = 0


def read(pages: Pages) -> Wreck:
    """Everything but the records themselves."""
    wreck = Wreck()
    known = roots(pages)
    reached = trees.free_pages(pages)
    broken: set[str] = set()
    for name, is_index in _TABLES.items():
        root = known.get(name)
        found = None if root is None else trees.walk(pages, root, index=is_index)
        if found is None:
            broken.add(name)
            continue
        reached |= found.pages
        if found.broken:
            broken.add(name)
        for cell in found.cells:
            if (entry := trees.record(pages, cell)) is not None:
                _take(wreck, name, cell, *entry)
        wreck.cursors_whole |= name == "cursor" and not found.broken
        wreck.sequences_whole |= name == "record_sequence" and not found.broken
    if broken & _FROM_LEAVES:
        for cell in trees.leaves_beside(pages, reached):
            entry = trees.record(pages, cell)
            shape = None if entry is None else _shape(entry[1])
            if entry is not None and shape is not None and shape in broken:
                _take(wreck, shape, cell, *entry)
    wreck.known.update(wreck.waiting, wreck.history, wreck.sequences.values())
    wreck.known = {seq for seq in wreck.known if 0 < seq < LARGEST}
    wreck.highest_seq = max(wreck.highest_seq, *wreck.known, *wreck.records, 0)
    there = {name: seq for name, seq in wreck.cursors.items() if 0 <= seq <= wreck.highest_seq}
    wreck.cursors_whole &= there == wreck.cursors
    wreck.cursors = there
    return wreck


def saved(pages: Pages, wreck: Wreck) -> Iterator[Saved | int]:
    """Every record in the order of commits; of one that is not as it was committed, its seq."""
    for seq in sorted(wreck.records):
        entry = trees.record(pages, wreck.records[seq])
        row = None if entry is None else _saved(seq, entry[1], wreck.undigested)
        yield seq if row is None else row


_BESIDE = frozenset({"cursor", "dead_letter", "command"})
# What is read of a file, and whether it lies in the tree of an index.
_FROM_LEAVES = frozenset({"progress", "sqlite_sequence", "age", "record", "waiting", "history", "gone"})
_TABLES = {
    **dict.fromkeys(sorted(_FROM_LEAVES), False),
    **dict.fromkeys(("cursor", "dead_letter", "command", "record_sequence", "id"), True),
}


def roots(pages: Pages) -> dict[str, int]:
    """Root pages by name; `id` is the index of ids."""
    found: dict[str, int] = {}
    for cell in trees.walk(pages, 1, index=False).cells:
        entry = trees.record(pages, cell)
        if entry is not None and len(entry[1]) == 5:
            kind, name, table, root, _ = entry[1]
            if kind in ("table", "index") and isinstance(name, str) and isinstance(root, int):
                is_ids = name.startswith("sqlite_autoindex_") and table in ("record", "outbox")
                found["id" if is_ids else name] = root
    if "outbox" in found:  # of version 1, where all of it waits
        found["record"] = found.pop("outbox")
    return found


def _take(wreck: Wreck, name: str, cell: Cell, rowid: int, values: tuple[Value, ...]) -> None:
    if name in _BESIDE and not all(_is_text(value) for value in values if isinstance(value, str)):
        return
    match name, values:
        case "record", _ if _is_record(values):
            if 0 < rowid < LARGEST:
                wreck.records.setdefault(rowid, cell)
        case "waiting", (None, int(number), int(), *_) if number in _WAITING_CLASSES:
            wreck.waiting.setdefault(rowid, number)
        case "history", (None,):
            wreck.history.add(rowid)
        case "gone", (None, int(), int() | None, bytes(), bytes()) if 0 < rowid < LARGEST:
            wreck.gone[rowid] = values[1:]
        case "progress", (int(last),):
            wreck.last_sequence = last
        case "progress", (int(last), int(undigested)):
            wreck.last_sequence, wreck.undigested = last, undigested
        case "sqlite_sequence", ("record" | "outbox", int(highest)) if highest < LARGEST:
            wreck.highest_seq = max(highest, wreck.highest_seq)
        case "age", (str(), int(), int(), int(), int(lived_ns)):
            wreck.lived_ns = max(lived_ns, wreck.lived_ns)
        case "cursor", (str(gateway), int(seq), *_):
            wreck.cursors[gateway] = seq
        case "dead_letter", (str(), int(), str(), int(), int(), int()):
            wreck.dead_letters.append(values)
        case "command", (str(), int()):
            wreck.commands.append(values)
        case "record_sequence", (int(sequence), int(seq)):
            wreck.sequences[sequence] = seq
        case "id", (str(), int(seq)):
            wreck.known.add(seq)


def _is_text(value: str) -> bool:
    """Whether it is Unicode, and can be written anew."""
    return stored(value) == value


def _shape(values: tuple[Value, ...]) -> str | None:
    """Of which table a row is, by its looks."""
    match values:
        case (None, int(), int(), int()):
            return "waiting"
        case (None,):
            return "history"
        case (None, int(), int() | None, bytes(), bytes()):
            return "gone"
        case (int(),) | (int(), int()):
            return "progress"
        case ("record" | "outbox", int()):
            return "sqlite_sequence"
        case (str(), int(), int(), 0 | 1, int()):
            return "age"
    return "record" if _is_record(values) else None


def _is_record(values: tuple[Value, ...]) -> TypeGuard[tuple[Any, ...]]:
    return (
        _FIRST_COLUMNS <= len(values) <= _FIRST_COLUMNS + len(_DEFAULTS)
        and values[0] is None
        and isinstance(values[1], str)
        and isinstance(values[2], int)
        and isinstance(values[9], bytes)
    )


def _saved(seq: int, values: tuple[Any, ...], undigested: int) -> Saved | None:
    _, id_, number, topic, properties, content_type, _, created_ns, sequence, payload = values[
        :_FIRST_COLUMNS
    ]
    later = values[_FIRST_COLUMNS:]
    evict, sealed, lived_ns, place = (*later, *_DEFAULTS[len(later) :])
    content = (id_, number, topic, properties, content_type, sequence, payload, evict)
    if not is_typed((*content, sealed, place)) or number not in range(len(KINDS)):
        return None
    old = sealed == b"" and not place and seq <= undigested
    whole = is_plausible(content) if old else is_digest(sealed, content, place)
    if not whole or not isinstance(created_ns, int) or not isinstance(lived_ns, int):
        return None
    return Saved(seq=seq, content=content, place=place, created_ns=created_ns, lived_ns=lived_ns)
