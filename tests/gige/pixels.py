"""Grey values as the bytes of a GigE Vision pixel format, written down from the PFNC and GigE Vision tables.

Slow and plain on purpose where the agent's unpackers are fast: the two meet only in tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Grey: TypeAlias = npt.NDArray[np.uint16]  # (lines, width)
Packed: TypeAlias = npt.NDArray[np.uint8]  # (bytes,)


def _bytes(grey: Grey) -> Packed:
    return grey.astype(np.uint8, copy=False).ravel()


def _words(grey: Grey) -> Packed:
    return grey.astype("<u2").view(np.uint8).ravel()


def _bit_stream(bits: int) -> Callable[[Grey], Packed]:
    """PFNC `p`: pixel after pixel, least significant bit first, no padding at the end of a line."""

    def pack(grey: Grey) -> Packed:
        columns = grey.ravel()[:, np.newaxis] >> np.arange(bits, dtype=np.uint16) & 1
        return np.packbits(columns.astype(np.uint8).ravel(), bitorder="little")

    return pack


def _pairs(bits: int) -> Callable[[Grey], Packed]:
    """GigE Vision `Packed`: high bits of one pixel, low bits of both, high bits of the other."""
    low = bits - 8
    mask = (1 << low) - 1

    def pack(grey: Grey) -> Packed:
        first, second = grey.ravel()[0::2], grey.ravel()[1::2]
        middle = (first & mask) | (second & mask) << 4
        return np.stack([first >> low, middle, second >> low], axis=1).astype(np.uint8).ravel()

    return pack


def _rgb(grey: Grey) -> Packed:
    """Red as the picture, green its complement, blue half of it."""
    return np.stack([grey, 255 - grey, grey // 2], axis=2).astype(np.uint8).ravel()


# name: code in the leader, significant bits, bits in the stream, packer
FORMATS: dict[str, tuple[int, int, int, Callable[[Any], Packed]]] = {
    "Mono8": (0x01080001, 8, 8, _bytes),
    "Mono10": (0x01100003, 10, 16, _words),
    "Mono12": (0x01100005, 12, 16, _words),
    "Mono10Packed": (0x010C0004, 10, 12, _pairs(10)),
    "Mono12Packed": (0x010C0006, 12, 12, _pairs(12)),
    "Mono10p": (0x010A0046, 10, 10, _bit_stream(10)),
    "Mono12p": (0x010C0047, 12, 12, _bit_stream(12)),
    "BayerRG8": (0x01080009, 8, 8, _bytes),
    "BayerGR8": (0x01080008, 8, 8, _bytes),
    "BayerGB8": (0x0108000A, 8, 8, _bytes),
    "BayerBG8": (0x0108000B, 8, 8, _bytes),
    "RGB8": (0x02180014, 8, 24, _rgb),
    "YUV422_8": (0x02100032, 8, 16, _words),  # one that the agent does not know
}


def packed_size(name: str, pixels: int) -> int:
    return -(-pixels * FORMATS[name][2] // 8)
