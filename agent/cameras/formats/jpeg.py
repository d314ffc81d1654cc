"""JPEG: libjpeg-turbo, strict, where OpenCV's goes on after a warning and makes up what is missing.

Entropy-coded data has no checksum: a small change that still decodes to the right number of blocks is
not known. DECISIONS.md says how often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import simplejpeg

from agent.cameras.formats.described import Damaged, Described
from agent.messages import Pixels

MAGIC = b"\xff\xd8"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # that ends coded data


def describe(data: bytes) -> Described:
    """Raises Damaged."""
    height, width, _ = _header(data)
    return Described(width=width, height=height)


def decode(data: bytes) -> Pixels | None:
    """(h, w, 1 or 3), BGR; None for a whole file in a colour space for printing. Raises Damaged."""
    space = _header(data)[2]
    _check_for_nothing(data)
    wanted = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(space, "BGR")
    picture = _strict(simplejpeg.decode_jpeg, data, wanted)
    return None if wanted == "CMYK" else cast(Pixels, np.asarray(picture))


def _check_for_nothing(data: bytes) -> None:
    """Zeros where nothing was ever written decode to blocks, and now and then to the right number of them.

    In a sequential picture they mean the first code of a table over and over. Where that code ends a block,
    flat pictures have such runs; elsewhere nothing in the world has two blocks of equal coefficients. Zeros
    outside the coded data, in thumbnails, profiles and what a camera's disk puts behind a file, are none.
    """
    longest = 0
    for marker, content in _segments(data):
        if marker in (0xC2, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE):  # progressive or arithmetic
            return
        if marker == 0xC4:
            for symbol, length in _first_codes(content):
                if symbol == 0:
                    return
                longest = max(longest, length + (symbol & 15))
        if marker == 0xDA and longest and bytes(2 * (63 * longest + 27) // 8) in content:
            raise Damaged("a part of it is zeros")


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each, up to the end of the picture; of a scan, its coded data."""
    at = 2
    while at + 4 <= len(data) and data[at + 1] != 0xD9:
        if data[at + 1] == 0xFF:  # fill
            at += 1
            continue
        marker, start = data[at + 1], at + 4
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            end = _MARKER.search(data, at)
            start, at = at, end.start() if end else len(data)
        yield marker, data[start:at]


def _first_codes(tables: bytes) -> Iterator[tuple[int, int]]:
    """Symbol and length of the code that is all zeros, of each table for AC coefficients."""
    at = 0
    while at + 18 <= len(tables):
        counts = tables[at + 1 : at + 17]
        if tables[at] >> 4:
            yield tables[at + 17], next((length for length, count in enumerate(counts, 1) if count), 16)
        at += 17 + sum(counts)


def _header(data: bytes) -> tuple[int, int, str]:
    height, width, space, _ = _strict(simplejpeg.decode_jpeg_header, data)
    return height, width, space


def _strict(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments, strict=True)
    except ValueError as error:
        raise Damaged(f"the decoder says: {error}") from error
