"""The chunks of a PNG, and a seal over all of them: what is cut short or changed is known for certain.

Ours are private and of no use once somebody changes the picture, which their letters say (PNG, section
5.4): programs that show pictures pass over them.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence

MAGIC = b"\x89PNG\r\n\x1a\n"
HEAD_BYTES = len(MAGIC) + 25  # with IHDR, after which ours begin
END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
SEAL = b"plSL"  # sha256 of everything before it; only IEND follows
TAIL_BYTES = 44 + len(END)


class Torn(Exception):
    """It is no whole PNG with a seal; says why in a few words."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk as it stands in a file."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join((len(content).to_bytes(4, "big"), kind, content, checksum.to_bytes(4, "big")))


def sealed(png: bytes, before: Sequence[bytes], after: Sequence[bytes]) -> list[bytes | memoryview]:
    """The file in pieces: `png` with more chunks before and after its pixels, and the seal."""
    view = memoryview(png)
    pieces: list[bytes | memoryview] = [view[:HEAD_BYTES], *before, view[HEAD_BYTES : -len(END)], *after]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return [*pieces, chunk(SEAL, digest.digest()), END]


def check_seal(data: bytes) -> None:
    """That every byte is as it was written. Raises Torn."""
    tail = data[-TAIL_BYTES:]
    if not is_tail(tail):
        raise Torn("it is cut short")
    if tail != chunk(SEAL, hashlib.sha256(memoryview(data)[:-TAIL_BYTES]).digest()) + END:
        raise Torn("it was changed after it was written")


def is_tail(data: bytes) -> bool:
    """Whether a file that ends so is not cut short."""
    return len(data) == TAIL_BYTES and data[4:8] == SEAL and data.endswith(END)


def walk(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each chunk, from the beginning of a file as far as it is whole."""
    view = memoryview(data)
    at = len(MAGIC)
    while at + 12 <= len(data):
        size = int.from_bytes(view[at : at + 4], "big")
        if at + 12 + size > len(data):
            return
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : at + 8 + size]
        at += 12 + size
