"""Payloads of Sparkplug B 3.0, as protocol buffers: the few fields that an edge node needs.

Field numbers are those of sparkplug_b.proto; the packages that generate code from it need an old paho.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

Value: TypeAlias = int | float | bool | str | None

REBIRTH = "Node Control/Rebirth"


class DataType(IntEnum):
    """Sparkplug B 3.0, section 6.4.16."""

    INT32 = 3
    INT64 = 4
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13


_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
# Metric's oneof value: int_value 10, long_value 11, double_value 13, boolean_value 14, string_value 15.
_VALUE_FIELDS = {
    DataType.INT32: 10,
    DataType.INT64: 11,
    DataType.UINT64: 11,
    DataType.DATETIME: 11,
    DataType.DOUBLE: 13,
    DataType.BOOLEAN: 14,
    DataType.STRING: 15,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A named value; None is Sparkplug's null."""

    name: str
    type: DataType
    value: Value
    timestamp_ms: int


def encode(metrics: Sequence[Metric], *, timestamp_ms: int, seq: int | None) -> bytes:
    """A Payload; `seq` is None in an NDEATH."""
    body = _number(1, timestamp_ms)
    for metric in metrics:
        body += _bytes(2, _metric(metric))
    return body if seq is None else body + _number(3, seq)


def asks_for_rebirth(payload: bytes) -> bool:
    """Whether an NCMD payload sets Node Control/Rebirth to true. Raises ValueError for what is no Payload."""
    for number, value in _fields(payload):
        if number == 2 and isinstance(value, bytes):
            metric = dict(_fields(value))
            if metric.get(1) == REBIRTH.encode() and metric.get(14) == 1:
                return True
    return False


def _metric(metric: Metric) -> bytes:
    head = _bytes(1, metric.name.encode()) + _number(3, metric.timestamp_ms) + _number(4, metric.type)
    field = _VALUE_FIELDS[metric.type]
    match metric.value:
        case None:
            return head + _number(7, 1)  # is_null
        case str() as text:
            return head + _bytes(field, text.encode())
        case float() as number:
            return head + _varint(field << 3 | _FIXED64) + struct.pack("<d", number)
        case number:
            return head + _number(field, int(number))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Number and raw value of each field. Raises ValueError."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value: int | bytes
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
        found.append((key >> 3, value))
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError(f"byte {at}: a number without an end")
