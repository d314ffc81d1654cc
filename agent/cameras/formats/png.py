"""PNG: every chunk has a checksum, so that damage by storage or transfer is known with certainty."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import takewhile

from agent.cameras.formats.described import Damaged, Described

MAGIC = b"\x89PNG\r\n\x1a\n"


def describe(data: bytes) -> Described:
    """Size and frames; raises Damaged."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise Damaged("its header is cut off")
    # An animation says its frames before the first picture.
    before = takewhile(lambda chunk: chunk[0] not in (b"IDAT", b"IEND"), _chunks(data))
    frames = [int.from_bytes(data[at : at + 4], "big") for kind, at, _ in before if kind == b"acTL"]
    return Described(
        width=int.from_bytes(data[16:20], "big"),
        height=int.from_bytes(data[20:24], "big"),
        pages=max([1, *frames]),
    )


def check(data: bytes) -> None:
    """Raises Damaged for a wrong checksum or an end that is missing; the decoder checks the zlib stream."""
    view = memoryview(data)
    for kind, at, size in _chunks(data):
        stated = int.from_bytes(data[at + size : at + size + 4], "big")
        if zlib.crc32(view[at - 4 : at + size]) != stated:
            raise Damaged(f"its chunk {kind.decode('latin-1')!r} fails its checksum")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and size of each chunk's content, up to the end; raises Damaged where it is missing."""
    at, kind = len(MAGIC), b""
    while kind != b"IEND":
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if at + 12 + size > len(data):
            raise Damaged("it is cut off")
        yield kind, at + 8, size
        at += 12 + size
