"""Properties of a PUBLISH are the bytes that paho itself would send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.uplink.mqtt.publish_properties import PublishProperties

TEXTS = st.text(max_size=300)


def by_paho(
    content_type: str,
    pairs: list[tuple[str, str]],
    correlation_data: bytes | None,
    response_topic: str | None,
) -> bytes:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    if pairs:
        properties.UserProperty = pairs
    if correlation_data is not None:
        properties.CorrelationData = correlation_data
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    return bytes(properties.pack())  # type: ignore[no-untyped-call]


@given(
    content_type=TEXTS,
    pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=8),
    correlation_data=st.none() | st.binary(max_size=40),
    response_topic=st.none() | TEXTS,
)
def test_the_bytes_are_those_of_paho(
    content_type: str,
    pairs: list[tuple[str, str]],
    correlation_data: bytes | None,
    response_topic: str | None,
) -> None:
    found = PublishProperties(content_type, pairs, correlation_data, response_topic)

    assert found.pack() == by_paho(content_type, pairs, correlation_data, response_topic)


@pytest.mark.parametrize("size", [0, 100, 101, 127, 128, 16_000, 16_383, 16_384, 65_535])
def test_every_size_of_their_length_is_that_of_paho(size: int) -> None:
    pairs = [("name", "v" * size)]

    assert PublishProperties("t", pairs).pack() == by_paho("t", pairs, None, None)


@pytest.mark.parametrize("value", ["v" * 65_536, "é" * 40_000, "\ud800"])
def test_what_has_no_room_or_is_no_text_is_a_value_error_so_that_its_row_is_refused(value: str) -> None:
    for broken in ([("name", value)], [(value, "value")]):
        with pytest.raises(ValueError):
            PublishProperties("t", broken)
