"""The properties of a PUBLISH packet, encoded at once: MQTT 5.0, sections 2.2.2 and 3.3.2.3.

Paho's own look each of their names up among all 27 at every step, which costs as much as all the rest of a
publication in its thread; this gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from paho.mqtt.properties import Properties

_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION_DATA, _USER_PROPERTY = b"\x03", b"\x08", b"\x09", b"\x26"
_LONGEST_BYTES = 65_535
_GROUP_BITS = 7  # of a length, in each of its bytes


class PublishProperties(Properties):
    """For paho to send; nothing of it can be read or changed."""

    def __init__(
        self,
        content_type: str,
        pairs: Sequence[tuple[str, str]] = (),
        correlation_data: bytes | None = None,
        response_topic: str | None = None,
    ) -> None:
        """Raises ValueError for what cannot be encoded."""
        encoded = [_CONTENT_TYPE, _text(content_type)]
        if response_topic is not None:
            encoded += (_RESPONSE_TOPIC, _text(response_topic))
        if correlation_data is not None:
            encoded += (_CORRELATION_DATA, _measured(correlation_data))
        for name, value in pairs:
            encoded += (_USER_PROPERTY, _text(name), _text(value))
        body = b"".join(encoded)
        object.__setattr__(self, "_packed", _length(len(body)) + body)  # paho lets no other name be set

    def __str__(self) -> str:
        return repr(self.pack())

    def pack(self) -> bytes:
        packed: bytes = self.__dict__["_packed"]
        return packed


def _text(value: str) -> bytes:
    return _measured(value.encode())


def _measured(value: bytes) -> bytes:
    if len(value) > _LONGEST_BYTES:
        raise ValueError(f"a property of {len(value)} bytes; MQTT has room for {_LONGEST_BYTES}")
    return len(value).to_bytes(2, "big") + value


def _length(value: int) -> bytes:
    encoded = bytearray()
    while value >> _GROUP_BITS:
        encoded.append(value & 0x7F | 0x80)
        value >>= _GROUP_BITS
    encoded.append(value)
    return bytes(encoded)
