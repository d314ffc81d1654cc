"""An independent decoder: sparkplug_b.proto as Eclipse Tahu has it, read by Google's protobuf."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_INT32, _INT64, _FLOAT, _DOUBLE, _BOOL, _STRING, _BYTES = 13, 4, 2, 1, 8, 9, 12  # uint32, uint64, ...
_METRIC = [
    ("name", 1, _STRING),
    ("alias", 2, _INT64),
    ("timestamp", 3, _INT64),
    ("datatype", 4, _INT32),
    ("is_historical", 5, _BOOL),
    ("is_transient", 6, _BOOL),
    ("is_null", 7, _BOOL),
    ("int_value", 10, _INT32),
    ("long_value", 11, _INT64),
    ("float_value", 12, _FLOAT),
    ("double_value", 13, _DOUBLE),
    ("boolean_value", 14, _BOOL),
    ("string_value", 15, _STRING),
    ("bytes_value", 16, _BYTES),
]


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b_test.proto", package="t", syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for name, number, type_ in _METRIC:
        field = metric.field.add(name=name, number=number, type=type_, label=1)
        if number >= 10:
            field.oneof_index = 0
    payload.field.add(name="timestamp", number=1, type=_INT64, label=1)
    payload.field.add(name="metrics", number=2, type=11, label=3, type_name=".t.Payload.Metric")
    payload.field.add(name="seq", number=3, type=_INT64, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Payload"))


Payload = _payload_class()


def decode(payload: bytes) -> Any:
    """Raises protobuf's DecodeError; an unknown field is an error as well."""
    decoded = Payload.FromString(payload)
    assert decoded.SerializeToString() == payload
    return decoded


def values(payload: bytes) -> dict[str, Any]:
    """Name to value; None for null."""
    found = {}
    for metric in decode(payload).metrics:
        field = metric.WhichOneof("value")
        assert metric.is_null == (field is None)
        found[metric.name] = None if field is None else getattr(metric, field)
    return found


def rebirth(value: bool = True) -> bytes:
    """An NCMD as hosts send it."""
    payload = Payload(timestamp=1)
    payload.metrics.add(name="Node Control/Rebirth", timestamp=1, datatype=11, boolean_value=value)
    return bytes(payload.SerializeToString())
