"""TIFF: pages, size, and whether every strip or tile holds the rows that it should.

OpenCV goes on after libtiff's errors, so that each strip's code is followed here. Only Deflate has a
checksum.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice

from agent.cameras.formats import jpeg, lzw, packbits
from agent.cameras.formats.described import Damaged, Described, Unjudgeable

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 100_000
MAX_BITS = 64  # of a pixel, in all its channels
_PIECE = 1 << 16  # bytes of Deflate, which make a thousand times as many at most

_KINDS = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION = 254, 256, 257, 258, 259
_STARTS, _SAMPLES, _ROWS, _SIZES, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_STARTS, _TILE_SIZES, _TABLES = 322, 323, 324, 325, 347
_WANTED = {
    *(_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STARTS, _SAMPLES, _ROWS, _SIZES, _PLANAR),
    *(_TILE_WIDTH, _TILE_HEIGHT, _TILE_STARTS, _TILE_SIZES, _TABLES),
}
_REDUCED, _MASK = 1, 4  # bits of a page that is another one, smaller or as a mask

Tags = dict[int, tuple[int, ...]]


def describe(data: bytes) -> Described:
    """Size of the first page, and how many there are; raises Damaged."""
    pages = list(_pages(data))
    beside = sum(not _one(page, _SUBFILE, 0) & (_REDUCED | _MASK) for page in pages[1:])
    return Described(width=_one(pages[0], _WIDTH), height=_one(pages[0], _HEIGHT), pages=1 + beside)


def check(data: bytes) -> None:
    """Raises Damaged for strips or tiles of the first page that are not what they should be; Unjudgeable."""
    page = next(_pages(data))
    if not (_one(page, _WIDTH) and _one(page, _HEIGHT)):
        raise Damaged("it has no pixels")
    if (bits := max(page.get(_BITS, (1,))) * _one(page, _SAMPLES, 1)) > MAX_BITS:
        raise Unjudgeable(f"TIFF with {bits} bits per pixel; save it with 8 bits per channel")
    tiled = _TILE_STARTS in page
    starts, sizes = page.get(_TILE_STARTS if tiled else _STARTS), page.get(_TILE_SIZES if tiled else _SIZES)
    if starts is None or sizes is None:
        raise Damaged("it does not say where its strips are")
    # A small file can ask for more strips than memory holds.
    wanted = list(islice(_lengths(page, tiled), len(starts) + 1))
    if not len(starts) == len(sizes) == len(wanted):
        raise Damaged(f"it says of {len(starts)} strips where they are, and of {len(sizes)} how long")
    for number, (start, size, length) in enumerate(zip(starts, sizes, wanted, strict=True)):
        if start + size > len(data) or not size:
            raise Damaged(f"its strip {number} of {len(wanted)} is cut off")
        try:
            _follow(page, data[start : start + size], length)
        except Damaged as error:
            raise Damaged(f"its strip {number} of {len(wanted)} is not whole ({error})") from error


def _follow(page: Tags, coded: bytes, length: int) -> None:
    """Raises Damaged unless a strip's code makes `length` bytes."""
    match _one(page, _COMPRESSION, 1):
        case 1:
            made = len(coded)
        case 5:
            made = lzw.decoded_size(coded, length)
        case 7:
            tables = bytes(page.get(_TABLES, ()))
            jpeg.decode(tables[:-2] + coded[2:] if tables else coded)
            return
        case 8 | 32946:
            made = _inflated_size(coded, length)
        case 32773:
            made = packbits.decoded_size(coded, length)
        case other:
            raise Unjudgeable(
                f"TIFF with compression {other}, whose damage cannot be seen; save it with Deflate or without"
            )
    if made < length:
        raise Damaged(f"{made} of {length} bytes")


def _inflated_size(coded: bytes, length: int) -> int:
    inflate, made = zlib.decompressobj(), 0
    try:
        for at in range(0, len(coded), _PIECE):
            made += len(inflate.decompress(coded[at : at + _PIECE]))
            if made > length:
                raise Damaged(f"more than {length} bytes")
            if inflate.eof:
                break
    except zlib.error as error:
        raise Damaged(str(error)) from error
    if not inflate.eof:
        raise Damaged("no end")
    return made


def _lengths(page: Tags, tiled: bool) -> Iterator[int]:
    """Bytes of each strip or tile, decoded."""
    width, height, samples = _one(page, _WIDTH), _one(page, _HEIGHT), _one(page, _SAMPLES, 1)
    apart = _one(page, _PLANAR, 1) == 2
    bits = max(page.get(_BITS, (1,))) * (1 if apart else samples)
    for _ in range(samples if apart else 1):
        if tiled:
            across, down = _one(page, _TILE_WIDTH), _one(page, _TILE_HEIGHT)
            if not across or not down:
                raise Damaged("its tiles have no size")
            tiles = -(-width // across) * -(-height // down)
            yield from (down * -(-across * bits // 8) for _ in range(tiles))
        else:
            rows = min(_one(page, _ROWS, height), height)
            if not rows:
                raise Damaged("its strips have no rows")
            line = -(-width * bits // 8)
            yield from (min(rows, height - first) * line for first in range(0, height, rows))


def _one(page: Tags, tag: int, default: int | None = None) -> int:
    values = page.get(tag) or (() if default is None else (default,))
    if not values or values[0] < 0:
        raise Damaged(f"it lacks tag {tag}")
    return values[0]


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    offset: str  # of places, as struct has it
    count: str  # of entries

    def read(self, kinds: str, data: bytes, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self.order + kinds, data, at)
        except struct.error:
            raise Damaged("its directory is cut off") from None


def _pages(data: bytes) -> Iterator[Tags]:
    """The tags that are used here; of pages after the first, only of what kind they are. Raises Damaged."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[:4] in MAGICS[2:]
    layout = _Layout(order, "Q", "Q") if big else _Layout(order, "I", "H")
    (place,) = layout.read(layout.offset, data, 8 if big else 4)
    seen: set[int] = set()
    total = 0  # bytes of directories
    while True:
        if place in seen or len(seen) > MAX_PAGES or total > len(data):
            raise Damaged("its pages go round in a circle")
        tags, size, following = _page(layout, data, place, {_SUBFILE} if seen else _WANTED)
        seen.add(place)
        total += size
        yield tags
        if not following:
            return
        place = following


def _page(layout: _Layout, data: bytes, place: int, wanted: Set[int]) -> tuple[Tags, int, int]:
    """The tags, the size of the directory, and where the next one is."""
    head, field = struct.calcsize("=" + layout.count), struct.calcsize("=" + layout.offset)
    (entries,) = layout.read(layout.count, data, place)
    entry = 4 + 2 * field
    end = place + head + entries * entry
    if not entries or end + field > len(data):
        raise Damaged("its directory is cut off")
    tags: Tags = {}
    for at in range(place + head, end, entry):
        tag, kind, count = layout.read("HH" + layout.offset, data, at)
        if tag not in wanted:
            continue
        if kind not in _KINDS:
            raise Damaged(f"its tag {tag} is of no known kind")
        size = count * struct.calcsize("=" + _KINDS[kind])
        value = at + 4 + field
        if size > field:
            (value,) = layout.read(layout.offset, data, value)
        if value + size > len(data):
            raise Damaged(f"its tag {tag} lies beyond the end of the file")
        tags[tag] = layout.read(f"{count}{_KINDS[kind]}", data, value)
    return tags, end - place, layout.read(layout.offset, data, end)[0]
