"""BMP: no checksums; what can be known is whether all rows are there."""

from __future__ import annotations

import struct

from agent.cameras.formats.described import Damaged, Described, Unjudgeable

MAGIC = b"BM"
_UNCOMPRESSED = (0, 3, 6)  # RGB, and RGB with masks


def describe(data: bytes) -> Described:
    """Raises Damaged."""
    width, height, _, _ = _header(data)
    return Described(width=width, height=height)


def check(data: bytes) -> None:
    """Raises Damaged where rows are missing; changed pixels cannot be seen. Unjudgeable for run lengths."""
    width, height, bits, compression = _header(data)
    start = int.from_bytes(data[10:14], "little")
    if compression not in _UNCOMPRESSED:  # zeros in run lengths are ends of rows, and the rest is made up
        raise Unjudgeable("BMP with run lengths, whose damage cannot be seen; save it without compression")
    needed = start + (width * bits + 31) // 32 * 4 * height
    if len(data) < needed:
        raise Damaged(f"it is cut off after {len(data)} of {needed} bytes")


def _header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits per pixel, compression."""
    try:
        if int.from_bytes(data[14:18], "little") == 12:  # as OS/2 wrote it
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            return width, height, bits, 0
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    except struct.error:
        raise Damaged("its header is cut off") from None
    return abs(width), abs(height), bits, compression
