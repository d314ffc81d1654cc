"""Protocol Buffers on the wire: the few pieces that Sparkplug's payloads and ONNX's graphs need.

For messages whose field numbers are known; the packages that generate code for them are large, or need old
versions of others.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeVar

Data = TypeVar("Data", bytes, memoryview)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):
    """One field of a message: its number, its raw value, and all of its bytes. Views of what was read."""

    number: int
    value: int | bytes | memoryview
    whole: bytes | memoryview


def fields(message: Data) -> list[Field]:
    """Each field in its order. Raises ValueError for what is no message."""
    found: list[Field] = []
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        value: int | Data
        if key & 7 == _VARINT:
            value, at = _read_varint(message, at)
        else:
            if key & 7 == _BYTES:
                width, at = _read_varint(message, at)
            elif key & 7 in _WIDTHS:
                width = _WIDTHS[key & 7]
            else:
                raise ValueError(f"byte {at}: wire type {key & 7} is none of protocol buffers 3")
            value, at = message[at : at + width], at + width
        if at > len(message):
            raise ValueError(f"byte {at}: the message ends at {len(message)}")
        found.append(Field(key >> 3, value, message[start:at]))
    return found


def number_field(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def double_field(number: int, value: float) -> bytes:
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", value)


def bytes_field(number: int, value: bytes) -> bytes:
    return bytes_head(number, len(value)) + value


def bytes_head(number: int, length: int) -> bytes:
    """What stands before the `length` bytes of a text, of bytes or of a message."""
    return _varint(number << 3 | _BYTES) + _varint(length)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(message: bytes | memoryview, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 0x80:  # nearly all of them
        return message[at], at + 1
    value = 0
    for index, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError(f"byte {at}: a number without an end")
