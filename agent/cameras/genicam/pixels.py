"""The bytes of a pixel format as a picture: which formats are taken, and how each is unpacked.

Names and codes are those of the PFNC and of GigE Vision 1.x (`Packed`). Formats of more than 8 bits become
uint16 with the value as it is, not scaled. Bayer becomes RGB by OpenCV's bilinear demosaicing: two pixels
along the border are extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Pixels

Words: TypeAlias = npt.NDArray[np.uint16]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Unpack: TypeAlias = Callable[[Pixels], Words]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """One format; `decode` takes (bytes,), lines and width and gives (lines, width, channels)."""

    name: str
    bits_per_pixel: int  # in the stream
    bit_depth: int  # of a channel
    decode: Callable[[Pixels, int, int], Any]
    is_view: bool = False  # whether the picture lies in the bytes that were given

    def size_bytes(self, lines: int, width: int) -> int:
        return -(-lines * width * self.bits_per_pixel // 8)


def unpack_10p(raw: Pixels) -> Words:
    """Four pixels in five bytes, least significant bit first."""
    a, b, c, d, e = _groups(raw, 5)
    return _joined(a | (b & 3) << 8, b >> 2 | (c & 15) << 6, c >> 4 | (d & 63) << 4, d >> 6 | e << 2)


def unpack_12p(raw: Pixels) -> Words:
    """Two pixels in three bytes, least significant bit first."""
    a, b, c = _groups(raw, 3)
    return _joined(a | (b & 15) << 8, b >> 4 | c << 4)


def unpack_10_packed(raw: Pixels) -> Words:
    """Two pixels in three bytes, the middle one with the low bits of both."""
    a, b, c = _groups(raw, 3)
    return _joined(a << 2 | b & 3, c << 2 | b >> 4 & 3)


def unpack_12_packed(raw: Pixels) -> Words:
    """Two pixels in three bytes, the middle one with the low bits of both."""
    a, b, c = _groups(raw, 3)
    return _joined(a << 4 | b & 15, c << 4 | b >> 4)


def unpack_p_plain(raw: Pixels, bits: int) -> list[int]:
    """What `unpack_10p` and `unpack_12p` compute: the bytes as one number, cut into pieces."""
    number, mask = int.from_bytes(raw.tobytes(), "little"), (1 << bits) - 1
    return [number >> place & mask for place in range(0, raw.size * 8 - bits + 1, bits)]


def unpack_packed_plain(raw: Pixels, bits: int) -> list[int]:
    """What `unpack_10_packed` and `unpack_12_packed` compute, pair by pair."""
    low, values = bits - 8, []
    for first, middle, second in raw.reshape(-1, 3).tolist():
        values += [(first << low) + middle % (1 << low), (second << low) + (middle >> 4) % (1 << low)]
    return values


def _groups(raw: Pixels, size: int) -> list[Words]:
    """The first, second ... bytes of each group; an unfinished last group is filled with zeros."""
    whole = np.pad(raw, (0, -raw.size % size)) if raw.size % size else raw
    return [whole[place::size].astype(np.uint16) for place in range(size)]


def _joined(*pixels: Integers) -> Words:
    return np.stack(pixels, axis=1).astype(np.uint16, copy=False).ravel()


def _bytes(channels: int) -> Callable[[Pixels, int, int], Pixels]:
    return lambda raw, lines, width: raw.reshape(lines, width, channels)


def _words(raw: Pixels, lines: int, width: int) -> Words:
    return raw.view("<u2").reshape(lines, width, 1)


def _packed(unpack: Unpack) -> Callable[[Pixels, int, int], Words]:
    return lambda raw, lines, width: unpack(raw)[: lines * width].reshape(lines, width, 1)


def _bayer(code: int) -> Callable[[Pixels, int, int], Pixels]:
    return lambda raw, lines, width: cast(Pixels, cv2.cvtColor(raw.reshape(lines, width), code))


def _bgr(raw: Pixels, lines: int, width: int) -> Pixels:
    return cast(Pixels, cv2.cvtColor(raw.reshape(lines, width, 3), cv2.COLOR_BGR2RGB))


def _format(
    name: str, bits: int, depth: int, decode: Callable[..., Any], *, is_view: bool = False
) -> PixelFormat:
    return PixelFormat(name=name, bits_per_pixel=bits, bit_depth=depth, decode=decode, is_view=is_view)


FORMATS: dict[int, PixelFormat] = {
    0x01080001: _format("Mono8", 8, 8, _bytes(1), is_view=True),
    0x01100003: _format("Mono10", 16, 10, _words, is_view=True),
    0x01100005: _format("Mono12", 16, 12, _words, is_view=True),
    0x01100007: _format("Mono16", 16, 16, _words, is_view=True),
    0x010C0004: _format("Mono10Packed", 12, 10, _packed(unpack_10_packed)),
    0x010C0006: _format("Mono12Packed", 12, 12, _packed(unpack_12_packed)),
    0x010A0046: _format("Mono10p", 10, 10, _packed(unpack_10p)),
    0x010C0047: _format("Mono12p", 12, 12, _packed(unpack_12p)),
    0x01080008: _format("BayerGR8", 8, 8, _bayer(cv2.COLOR_BayerGRBG2RGB)),
    0x01080009: _format("BayerRG8", 8, 8, _bayer(cv2.COLOR_BayerRGGB2RGB)),
    0x0108000A: _format("BayerGB8", 8, 8, _bayer(cv2.COLOR_BayerGBRG2RGB)),
    0x0108000B: _format("BayerBG8", 8, 8, _bayer(cv2.COLOR_BayerBGGR2RGB)),
    0x02180014: _format("RGB8", 24, 8, _bytes(3), is_view=True),
    0x02180015: _format("BGR8", 24, 8, _bgr),
}
