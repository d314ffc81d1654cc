"""Tables and indexes of an SQLite file, read from its pages, around what is damaged.

After the file format document of SQLite 3. Nothing is believed: a page, cell or record that is not wholly
within its bounds does not count. Pages of ours have no reserved bytes at their end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.outbox.sqlite_pages import Pages

Value: TypeAlias = int | float | str | bytes | None
TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER = 0x0D, 0x05, 0x0A, 0x02
_INT_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


@dataclass(frozen=True, slots=True)
class Cell:
    """Where an entry lies: its page, and its first byte there."""

    page: int
    at: int


@dataclass(slots=True)
class Walk:
    """What was reached from a root."""

    cells: list[Cell] = field(default_factory=list)
    pages: set[int] = field(default_factory=set)
    broken: bool = False  # a page on the way is no page of such a tree


def walk(pages: Pages, root: int, *, index: bool) -> Walk:
    """All entries below `root`, in no order, and whether some of the tree is missing."""
    leaf, inner = (INDEX_LEAF, INDEX_INNER) if index else (TABLE_LEAF, TABLE_INNER)
    done = Walk()
    ahead = [root]
    while ahead:
        number = ahead.pop()
        page = pages.page(number)
        kind = None if page is None or number in done.pages else page[_head_at(number)]
        offsets = None if page is None else cell_offsets(page, number)
        if page is None or offsets is None or kind not in (leaf, inner):
            done.broken = True
            continue
        done.pages.add(number)
        if kind == leaf or index:
            done.cells += [Cell(number, at) for at in offsets]
        if kind == inner:
            ahead += [int.from_bytes(page[at : at + 4], "big") for at in offsets]
            right = _head_at(number) + 8
            ahead.append(int.from_bytes(page[right : right + 4], "big"))
        if len(offsets) < _cells_said(page, number):
            done.broken = True
    return done


def cell_offsets(page: bytes, number: int) -> list[int] | None:
    """Of a page of a tree; None when it is none. Cells out of bounds are left out."""
    head = _head_at(number)
    kind = page[head]
    if kind not in (TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER):
        return None
    first = head + (12 if kind in (TABLE_INNER, INDEX_INNER) else 8)
    end = first + 2 * _cells_said(page, number)
    if end > len(page):
        return None
    offsets = struct.unpack(f">{(end - first) // 2}H", page[first:end])
    return [at for at in offsets if end <= at < len(page) - 1]


def record(pages: Pages, cell: Cell) -> tuple[int, tuple[Value, ...]] | None:
    """The rowid (0 in an index) and the values of an entry; None when it cannot be read."""
    page = pages.page(cell.page)
    if page is None:
        return None
    kind, at, rowid = page[_head_at(cell.page)], cell.at, 0
    try:
        if kind == INDEX_INNER:
            at += 4
        size, at = _varint(page, at)
        if kind == TABLE_LEAF:
            rowid, at = _varint(page, at)
            rowid -= 1 << 64 if rowid >= 1 << 63 else 0
        payload = _payload(pages, page, at, size, index=kind != TABLE_LEAF)
        return None if payload is None else (rowid, _values(payload))
    except (IndexError, ValueError, struct.error):
        return None


def free_pages(pages: Pages) -> set[int]:
    """Those on the list of free pages, as far as it can be followed."""
    free: set[int] = set()
    first = pages.page(1)
    trunk = 0 if first is None else int.from_bytes(first[32:36], "big")
    while trunk and trunk not in free and (page := pages.page(trunk)) is not None:
        free.add(trunk)
        trunk, count = struct.unpack(">2I", page[:8])
        if count > len(page) // 4 - 2:
            break
        free.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
    return free


def leaves_beside(pages: Pages, known: set[int]) -> Iterator[Cell]:
    """Entries of leaves of tables that no tree has led to."""
    for number in range(1, pages.count + 1):
        if number in known or (page := pages.page(number)) is None or page[_head_at(number)] != TABLE_LEAF:
            continue
        for at in cell_offsets(page, number) or ():
            yield Cell(number, at)


def _head_at(number: int) -> int:
    return 100 if number == 1 else 0


def _cells_said(page: bytes, number: int) -> int:
    head = _head_at(number)
    return int.from_bytes(page[head + 3 : head + 5], "big")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = page[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at + count + 1


def _payload(pages: Pages, page: bytes, at: int, size: int, *, index: bool) -> bytes | None:
    usable = pages.page_bytes
    if size > pages.count * usable:
        return None
    most = (usable - 12) * 64 // 255 - 23 if index else usable - 35
    if size <= most:
        return page[at : at + size] if at + size <= usable else None
    least = (usable - 12) * 32 // 255 - 23
    here = least + (size - least) % (usable - 4)
    here = here if here <= most else least
    if at + here + 4 > usable:
        return None
    parts, left = [page[at : at + here]], size - here
    following = int.from_bytes(page[at + here : at + here + 4], "big")
    while left > 0:
        beyond = pages.page(following)
        if beyond is None:
            return None
        parts.append(beyond[4 : 4 + min(left, usable - 4)])
        left -= usable - 4
        following = int.from_bytes(beyond[:4], "big")
    return b"".join(parts)


def _values(payload: bytes) -> tuple[Value, ...]:
    """Raises IndexError or ValueError for what is no record."""
    head_bytes, at = _varint(payload, 0)
    body = head_bytes
    values: list[Value] = []
    while at < head_bytes:
        kind, at = _varint(payload, at)
        size = _size(kind)
        if body + size > len(payload):
            raise ValueError("beyond its end")
        values.append(_value(kind, payload[body : body + size]))
        body += size
    if at != head_bytes or body != len(payload):
        raise ValueError("no record")
    return tuple(values)


def _size(kind: int) -> int:
    if kind in (10, 11):
        raise ValueError("reserved")
    return (kind - 12) // 2 if kind >= 12 else _INT_BYTES.get(kind, 8 if kind == 7 else 0)


def _value(kind: int, raw: bytes) -> Value:
    if kind >= 12:
        return bytes(raw) if kind % 2 == 0 else raw.decode(errors="surrogateescape")
    if kind == 7:
        return float(struct.unpack(">d", raw)[0])
    return int.from_bytes(raw, "big", signed=True) if kind in _INT_BYTES else {8: 0, 9: 1}.get(kind)
