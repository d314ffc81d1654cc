"""The golden arrays of a bundle: what an engine must reproduce, read without trusting the file.

    golden/tiles.npy    uint8 (N, tile, tile, C)
    golden/scores.npy   float32 (N,), one for each tile

A `.npy` header is Python source; ours is the one line that NumPy writes for such arrays, and nothing else is
taken. No array is made before the header fits the manifest and the size of the file.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any, Literal

import numpy as np

from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Floats, Pixels

MAX_TILES = 256
# Golden scores this far below the threshold prove nothing about scores near it.
FAR_BELOW = 100.0
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([|<>=]?[a-zA-Z][0-9]{0,3})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,9}, )*(?:[0-9]{1,9},?)?)\), \} *\n"
)


class GoldenError(PlumblineError):
    """A golden array is not what the manifest speaks of; the text says why, without the file's name."""


def read_tiles(data: bytes, *, tile_px: int, channels: int) -> Pixels:
    """The tiles, (N, tile, tile, C). Raises GoldenError."""
    tiles: Pixels = _read(data, "|u1", (None, tile_px, tile_px, channels))
    return tiles


def read_scores(data: bytes, *, tiles: int, threshold: float) -> Floats:
    """The scores of so many tiles, (N,). Raises GoldenError, also where they could not prove anything."""
    scores: Floats = _read(data, "<f4", (tiles,))
    if not np.isfinite(scores).all():
        raise GoldenError("not all of its scores are finite numbers")
    if scores.min() < 0:
        raise GoldenError("it has scores below zero, which no map gives")
    if scores.max() * FAR_BELOW < threshold:
        raise GoldenError(
            f"its largest score, {scores.max():.3g}, lies too far below the threshold of {threshold:.3g} to "
            "prove anything"
        )
    return scores


def _read(data: bytes, dtype: Literal["|u1", "<f4"], shape: tuple[int | None, ...]) -> Any:
    found_dtype, found_shape, start = _header(data)
    words = " x ".join("N" if length is None else str(length) for length in shape)
    wanted = f"{np.dtype(dtype).name} of {words}"
    found = f"{shown(found_dtype)} of {' x '.join(map(str, found_shape)) or 'no dimension'}"
    fits = len(found_shape) == len(shape) and all(
        want in (None, length) for want, length in zip(shape, found_shape, strict=True)
    )
    if found_dtype != dtype or not fits:
        raise GoldenError(f"an array of {found} in place of {wanted}")
    if not 1 <= found_shape[0] <= MAX_TILES:
        raise GoldenError(f"{found_shape[0]} golden tiles; give 1 to {MAX_TILES}")
    size = math.prod(found_shape) * np.dtype(dtype).itemsize
    if len(data) - start != size:
        raise GoldenError(f"{len(data) - start} bytes of numbers in place of {size}")
    return np.frombuffer(data, dtype, offset=start).reshape(found_shape).copy()


def _header(data: bytes) -> tuple[str, tuple[int, ...], int]:
    """Type, shape, and where the numbers begin."""
    if not data.startswith(_MAGIC):
        raise GoldenError("not a .npy file")
    if data[6:8] == b"\x01\x00" and len(data) >= 10:
        start, length = 10, struct.unpack_from("<H", data, 8)[0]
    elif data[6:8] == b"\x02\x00" and len(data) >= 12:
        start, length = 12, struct.unpack_from("<I", data, 8)[0]
    else:
        raise GoldenError("a .npy file of an unknown version, or one that was cut")
    header = _HEADER.fullmatch(data[start : start + min(length, 1024)])
    if header is None or start + length > len(data):
        raise GoldenError("a .npy header that is not the one of an array of plain numbers")
    if header[2] == b"True":
        raise GoldenError("an array in Fortran order; save it in C order")
    shape = tuple(int(length) for length in header[3].replace(b",", b" ").split())
    return header[1].decode(), shape, start + length
