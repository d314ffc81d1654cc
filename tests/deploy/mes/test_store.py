"""What a message becomes, and that both databases keep it once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import ConsumerError
from gaps import Gap, Gone, find_gaps
from life import Status
from store import Database, UnreadableError, read
from tests.deploy.mes.told import SOURCE, TOPIC, verdict


def test_a_verdict_is_read_with_its_place() -> None:
    found = read(TOPIC, verdict(7))
    assert (found.source, found.station, found.sequence) == (SOURCE, "cell3-cam1", 7)
    assert json.loads(found.body)["sequence"] == 7


def test_a_part_id_may_have_the_separators_that_barcodes_have() -> None:
    assert read(TOPIC, verdict(1).replace(b'"SN-004711"', b'"01\\u001d17"')).part_id == "01\x1d17"


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("plumbline/v1/a/verdict/top", verdict(1)),
        (TOPIC.replace("cell3-cam1", "another"), verdict(1)),
        (TOPIC, b"no"),
        (TOPIC, b"[]"),
        (TOPIC, b"{}"),
        (TOPIC, verdict(0)),
        (TOPIC, verdict(2**63)),
        (TOPIC, verdict(1).replace(b'"boot-1"', b'"\\u0000"')),
        (TOPIC, verdict(1).replace(b'"boot-1"', b'"\\ud800"')),
        (TOPIC, verdict(1).replace(b'"boot-1"', b"null")),
        (TOPIC, verdict(1).replace(b"verdict/1", b"verdict/2")),
        (TOPIC, verdict(1).replace(b'"sequence":1', b'"sequence":"1"')),
    ],
)
def test_what_is_no_verdict_is_said_to_be_unreadable(topic: str, payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(topic, payload)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda one: json.dumps(one).encode())
)
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(TOPIC, payload)


def test_both_databases_collapse_duplicates_and_find_islands(url: str) -> None:
    database = Database(url)
    batch = [read(TOPIC, verdict(number)) for number in (1, 2, 3, 3, 6)]
    assert database.store(batch, [("a/topic", "why not", b"\x00\xff")]) == 4
    assert database.store(batch, []) == 0
    assert database.store([read(TOPIC, verdict(7, boot="boot-2"))], []) == 1
    database.close()
    again = Database(url)
    found = again.islands()
    again.close()
    assert [(one.boot_id, one.first, one.last) for one in found] == [
        ("boot-1", 1, 3),
        ("boot-1", 6, 6),
        ("boot-2", 7, 7),
    ]
    assert find_gaps(found) == [Gap(SOURCE, "boot-1", 4, 5, True)]


def test_both_databases_keep_what_is_gone_once_and_the_last_word_of_each_station(url: str) -> None:
    database = Database(url)
    ranges = [Gone(SOURCE, "boot-1", 4, 5), Gone(SOURCE, "boot-2", 4, 5)]
    for _ in range(2):
        database.note_gone(ranges)
        database.note_gone([])
    assert sorted(database.gone()) == ranges
    for state in ("online", "degraded", "offline"):
        database.store([], [], [Status(SOURCE, state, None, None, "2026-11-24T07:15:03+00:00")])
    database.store([read(TOPIC, verdict(9)), read(TOPIC, verdict(2, replayed=True))], [], now="later")
    (life,) = database.lives()
    assert (life.state, life.sequence, life.verdict_came) == ("offline", 9, "later")
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mes:geheim@127.0.0.1:1/x",
        "postgresql://mes:ge@heim@127.0.0.1:1/x",
        "postgresql://mes:ge/heim@127.0.0.1:1/x",
        "postgresql://mes:ge?heim#x@127.0.0.1:1/x",
        "postgresql://127.0.0.1:1/x?user=mes&password=geheim",
        "mysql://mes:geheim@host/x",
    ],
)
def test_a_password_in_the_address_is_never_told(url: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    with pytest.raises(ConsumerError) as told:
        Database(url)
    assert "heim" not in str(told.value)
