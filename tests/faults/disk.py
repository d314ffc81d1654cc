"""The disk as a power cut leaves it, from the journal that shim/journal.c wrote.

Certain is what was synced: a file's bytes when the file was, its name when the folder was. Of the
rest a cut keeps nothing, or each write and each change of a name by chance; of a write that was
under way perhaps only its first sectors. The cut comes after any record of the journal, so also between
a write and its sync.

SQLite maps its -shm file into memory, where no call can be seen. That file is an index of the WAL
which every first connection builds anew; here it is simply gone after a cut, and any other writable
mapping is an error, for then the journal would not tell all.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR_BYTES = 512
_HEAD = struct.Struct("<IIQQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call that succeeded: `kind` is a letter of journal.c."""

    kind: str
    name: str
    offset: int
    data: bytes


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Record] = field(default_factory=list)


class Disk:
    """One folder, from the empty one on."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}  # as the process sees them
        self._certain: dict[str, _File] = {}  # as of the folder's last sync
        self._changes: list[tuple[Record, _File | None]] = []  # of names, since then

    def take(self, record: Record) -> None:
        """What the process did next. Raises KeyError or ValueError for what the journal cannot know."""
        match record.kind:
            case "c":
                self._names[record.name] = _File()
                self._changes.append((record, self._names[record.name]))
            case "u":
                del self._names[record.name]
                self._changes.append((record, None))
            case "r":
                self._names[record.data.decode()] = self._names.pop(record.name)
                self._changes.append((record, None))
            case "s" if not record.name:
                self._certain = dict(self._names)
                self._changes.clear()
            case "s":
                file = self._names[record.name]
                for write in file.pending:
                    _write(file.synced, write)
                file.pending.clear()
            case "w" | "t":
                self._names[record.name].pending.append(record)
            case "m" if record.name.endswith("-shm"):
                pass
            case _:
                raise ValueError(f"{record.kind} {record.name}: a change that the journal cannot follow")

    def after_cut(self, rng: random.Random | None) -> dict[str, bytes]:
        """The files that are left. Without `rng` nothing that was not synced is kept."""
        names = dict(self._certain)
        for record, file in self._changes:
            if rng is not None and rng.random() < 0.5:
                _rename(names, record, file)
        return {name: _contents(file, rng) for name, file in names.items() if not name.endswith("-shm")}


def read_journal(path: Path) -> Iterator[Record]:
    """All records but the last one that the end of the process cut short."""
    with path.open("rb") as journal:
        while len(head := journal.read(_HEAD.size)) == _HEAD.size:
            kind, name_bytes, offset, data_bytes = _HEAD.unpack(head)
            name, data = journal.read(name_bytes), journal.read(data_bytes)
            if len(data) == data_bytes:
                yield Record(kind=chr(kind), name=name.decode(), offset=offset, data=data)


def _rename(names: dict[str, _File], record: Record, file: _File | None) -> None:
    match record.kind, file:
        case "c", _File():
            names[record.name] = file
        case "u", _:
            names.pop(record.name, None)
        case "r", _ if record.name in names:
            names[record.data.decode()] = names.pop(record.name)


def _contents(file: _File, rng: random.Random | None) -> bytes:
    contents = bytearray(file.synced)
    for record in file.pending if rng is not None else ():
        assert rng is not None
        fate = rng.choice(("kept", "lost", "torn"))
        if fate == "kept" or (record.kind == "t" and fate == "torn"):
            _write(contents, record)
        elif fate == "torn":
            _write(contents, _torn(record, rng))
    return bytes(contents)


def _torn(record: Record, rng: random.Random) -> Record:
    """Only the first sectors of a write, perhaps none."""
    end = record.offset + len(record.data)
    first, last = record.offset // SECTOR_BYTES, end // SECTOR_BYTES
    kept = max(0, rng.randint(first, last) * SECTOR_BYTES - record.offset)
    return Record(kind="w", name=record.name, offset=record.offset, data=record.data[:kept])


def _write(contents: bytearray, record: Record) -> None:
    if record.kind == "t":
        contents[record.offset :] = bytes(max(0, record.offset - len(contents)))
    elif record.data:
        contents.extend(bytes(max(0, record.offset - len(contents))))
        contents[record.offset : record.offset + len(record.data)] = record.data
