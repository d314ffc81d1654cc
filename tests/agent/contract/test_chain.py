"""The place of a record in the chain: how it is written, taken out again, and linked."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.contract import chain
from agent.contract.chain import Chained
from agent.contract.payloads import JSON, told
from agent.contract.row import Row, Waiting

PLACES = st.builds(
    Chained,
    segment=st.binary(min_size=8, max_size=8),
    number=st.integers(1, 1 << 52),
    previous=st.binary(min_size=32, max_size=32),
)
OBJECTS = st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers(), min_size=1, max_size=4)
RAW = bytes(range(8)) + bytes(range(32))
PLACE = Chained(segment=bytes(range(8)), number=7, previous=bytes(range(32)))


@given(OBJECTS, PLACES)
def test_a_record_is_the_same_when_its_place_is_taken_out_again(
    message: dict[str, object], place: Chained
) -> None:
    payload = json.dumps(message).encode()
    borne = chain.borne(payload, place.words())
    assert json.loads(borne) == {**message, "chain": json.loads(place.words())}
    assert chain.parted(borne) == (payload, place)
    assert chain.place_of(place.words()) == place


def test_a_place_adds_at_most_so_many_bytes() -> None:
    widest = Chained(segment=bytes(8), number=10**16 - 1, previous=bytes(32))
    assert len(chain.borne(b'{"a":1}', widest.words())) - len(b'{"a":1}') == chain.MEMBER_BYTES


@given(PLACES, st.binary(min_size=32, max_size=32))
def test_a_link_is_what_the_documents_say(place: Chained, digest: bytes) -> None:
    number = bytes(place.number >> shift & 255 for shift in range(56, -8, -8))
    assert place.link(digest) == hashlib.sha256(place.segment + place.previous + number + digest).digest()


@given(OBJECTS)
def test_what_has_no_place_is_left_as_it_is(message: dict[str, object]) -> None:
    payload = json.dumps(message).encode()
    assert chain.parted(payload) == (payload, None)


@pytest.mark.parametrize(
    "words",
    [
        PLACE.words().replace('"number":7', '"number":07'),
        PLACE.words().replace('"number":7', '"number":0'),
        PLACE.words().upper(),
        PLACE.words()[:-2] + "}",
        PLACE.words() + " ",
        "",
    ],
)
def test_a_place_that_is_written_otherwise_is_none(words: str) -> None:
    assert chain.place_of(words) is None
    assert chain.parted(b'{"a":1,"chain":%b}' % words.encode())[1] is None


def test_a_verdict_that_is_said_again_is_the_same_record() -> None:
    payload = b'{"a":1,"replayed":false,"detail":"\\"replayed\\":false,"}'
    again = chain.again(payload)
    assert again == payload.replace(b'"replayed":false,"d', b'"replayed":true,"d')
    assert chain.parted(chain.borne(again, PLACE.words())) == (payload, PLACE)
    assert chain.again(b'{"a":1}') is None


def test_what_is_no_json_bears_its_place_as_a_property() -> None:
    picture = Row(id="c", kind="crop", topic="t", payload=b"\xff\xd8", content_type="image/jpeg")
    verdict = Row(id="v", kind="verdict", topic="t", payload=b'{"a":1}', content_type=JSON)
    assert told(Waiting(seq=7, row=picture, place=RAW)).properties == (("chain", PLACE.words()),)
    assert told(Waiting(seq=7, row=verdict, place=RAW)).payload == chain.borne(b'{"a":1}', PLACE.words())
    assert told(Waiting(seq=7, row=verdict)) is verdict, "of before there was a chain"
    for empty in (b"{}", b"[1,2]"):
        odd = Row(id="v", kind="event", topic="t", payload=empty, content_type=JSON)
        assert told(Waiting(seq=7, row=odd, place=RAW)).properties == (("chain", PLACE.words()),)
