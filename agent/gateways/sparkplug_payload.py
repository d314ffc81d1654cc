"""Payloads of Sparkplug B 3.0, as protocol buffers: the few fields that an edge node needs.

Field numbers are those of sparkplug_b.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from agent.protobuf import bytes_field, double_field, fields, number_field

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
    body = number_field(1, timestamp_ms)
    for metric in metrics:
        body += bytes_field(2, _metric(metric))
    return body if seq is None else body + number_field(3, seq)


def asks_for_rebirth(payload: bytes) -> bool:
    """Whether an NCMD payload sets Node Control/Rebirth to true. Raises ValueError for what is no Payload."""
    for one in fields(payload):
        if one.number == 2 and isinstance(one.value, bytes):
            metric = {part.number: part.value for part in fields(one.value)}
            if metric.get(1) == REBIRTH.encode() and metric.get(14) == 1:
                return True
    return False


def _metric(metric: Metric) -> bytes:
    head = (
        bytes_field(1, metric.name.encode())
        + number_field(3, metric.timestamp_ms)
        + number_field(4, metric.type)
    )
    field = _VALUE_FIELDS[metric.type]
    match metric.value:
        case None:
            return head + number_field(7, 1)  # is_null
        case str() as text:
            return head + bytes_field(field, text.encode())
        case float() as number:
            return head + double_field(field, number)
        case number:
            return head + number_field(field, int(number))
