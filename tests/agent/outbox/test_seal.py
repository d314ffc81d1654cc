"""A row that was changed in the file is never sent: not by the broker, a gateway, a replay or an export."""

from __future__ import annotations

import dataclasses
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.contract.row import KINDS, Changed, Row
from agent.outbox.cursor import Cursor
from agent.outbox.database import Database
from agent.outbox.history import ask_again, dead_letters, delivered_verdicts, span
from agent.outbox.outbox import Outbox
from agent.outbox.seal import digest_of
from tests.agent.outbox import version_1
from tests.agent.outbox.rows import TOPICS, crop, event, named_crop, verdict
from tests.agent.uplink.stations import status
from tests.agent.uplink.test_uplink import built, dated, events_at
from tests.brokers import DEADLINE_S, Mosquitto, Subscriber, eventually

CHANGES: dict[str, str] = {
    "a word of the payload": "UPDATE record SET payload = CAST(replace(payload, 'fail', 'pass') AS BLOB)",
    "the payload as text": "UPDATE record SET payload = replace(payload, 'fail', 'pass')",
    "the payload's end": "UPDATE record SET payload = substr(payload, 1, length(payload) - 1)",
    "its topic": "UPDATE record SET topic = topic || 'x'",
    "its topic, to no text": "UPDATE record SET topic = CAST(x'ff80' AS TEXT)",
    "its id": "UPDATE record SET id = 'x'",
    "its kind": "UPDATE record SET class = 1",
    "its kind, to none": "UPDATE record SET class = 77",
    "its properties": "UPDATE record SET properties = '[]'",
    "its properties, to nothing that can be read": "UPDATE record SET properties = '[[[['",
    "its content type": "UPDATE record SET content_type = 'text/plain'",
    "its sequence": "UPDATE record SET sequence = sequence + 100",
    "its place in the chain": "UPDATE record SET chain = zeroblob(40)",
    "its place in the chain, to none": "UPDATE record SET chain = x''",
    "its digest": "UPDATE record SET digest = x'00'",
    "its digest, to that of an old row": "UPDATE record SET digest = x''",
    "everything": "UPDATE record SET id='x', class=0, topic='', properties='', payload='', sequence='x'",
}


def judged(sequence: int) -> Row:
    return dataclasses.replace(verdict(sequence), payload=b'{"sequence":%d,"verdict":"fail"}' % sequence)


@pytest.fixture
def outbox(database: Database) -> Iterator[Outbox]:
    one = Outbox(database)
    one.open()
    one.append([judged(number) for number in range(1, 6)]).result(DEADLINE_S)
    yield one
    one.close()


def change(outbox: Outbox, statement: str, seq: int = 3) -> None:
    with closing(sqlite3.connect(outbox.path)) as database, database:
        database.execute(f"{statement} WHERE seq = ?", (seq,))


def told_by(database: Database) -> list[Changed]:
    told: list[Changed] = []

    def event_of(changed: Changed) -> Row:
        told.append(changed)
        return event(len(told))

    database.when_changed(event_of)
    return told


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_row_is_a_dead_letter_and_an_event(database: Database, outbox: Outbox, what: str) -> None:
    told = told_by(database)
    change(outbox, CHANGES[what])
    rows = [one.row.id for one in outbox.lease(10)]
    assert rows == ["verdict-1", "verdict-2", "verdict-4", "verdict-5", "event-1"]
    assert [one.seq for one in told] == [3]
    assert [(one.place, one.seq) for one in dead_letters(outbox.path)] == [("outbox", 3)]
    assert outbox.lease(10)[0].row.id == "verdict-1" and len(told) == 1, "told once"
    assert outbox.depth().rows == 5


@pytest.mark.parametrize("what", CHANGES)
def test_no_gateway_gets_a_changed_row_and_each_gets_all_others(tmp_path: Path, what: str) -> None:
    database = Database(tmp_path / "outbox.sqlite3", clock=ManualClock())
    outbox = Outbox(database)
    outbox.open()
    cursors = [Cursor(database, name) for name in ("one", "two")]
    for cursor in cursors:
        cursor.open()
    outbox.append([judged(number) for number in range(1, 6)]).result(DEADLINE_S)
    told = told_by(database)
    change(outbox, CHANGES[what])
    for cursor in cursors:
        got = []
        while rows := cursor.next(2):
            got += [one.seq for one in rows]
            cursor.advance(rows[-1].seq)
        assert [seq for seq in got if seq <= 5] == [1, 2, 4, 5]
        cursor.close()
    assert len([one for one in dead_letters(outbox.path) if one.place == "outbox"]) == 1
    assert {one.seq for one in told} == {3}
    assert len([one for one in outbox.lease(20) if one.row.kind == "event"]) == 1
    outbox.close()


@pytest.mark.parametrize("what", [what for what in CHANGES if what not in ("its sequence", "everything")])
def test_what_was_changed_after_it_was_delivered_is_not_said_again(outbox: Outbox, what: str) -> None:
    outbox.delivered([one.seq for one in outbox.lease(10)])
    change(outbox, CHANGES[what])
    assert len(list(delivered_verdicts(outbox.path, 1, 5))) == 4
    ask_again(outbox.path, 1, 5)
    again = [one.row.sequence for one in outbox.lease(20, replays=20) if one.replayed]
    assert again == [1, 2, 4, 5]
    assert ask_again(outbox.path, 1, 5) == 0
    assert span(outbox.path).verdicts == 4


TEXT = st.text(max_size=30)
CONTENT = st.tuples(
    TEXT, st.sampled_from(range(len(KINDS))), TEXT, TEXT, TEXT, st.none() | st.integers(0, 1 << 40)
)


@given(CONTENT, CONTENT, st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 1))
def test_different_rows_have_different_digests(
    one: tuple[str, int, str, str, str, int | None],
    other: tuple[str, int, str, str, str, int | None],
    payload: bytes,
    payload_2: bytes,
    evict: int,
) -> None:
    same = (one, payload) == (other, payload_2)
    for place in (b"", bytes(40)):
        assert (
            digest_of((*one, payload, evict), place) == digest_of((*other, payload_2, evict), place)
        ) is same
        assert digest_of((*one, payload, 0), place) != digest_of((*one, payload, 1), place)


@pytest.mark.parametrize("of_number", [crop, named_crop])
@pytest.mark.parametrize("seed", range(8))
def test_any_bit_of_a_waiting_crop(tmp_path: Path, seed: int, of_number: Callable[..., Row]) -> None:
    rng = random.Random(seed)
    outbox = Outbox(Database(tmp_path / "outbox.sqlite3", clock=ManualClock()))
    outbox.open()
    outbox.append([of_number(1, 20_000), of_number(2, 20_000)]).result(DEADLINE_S)
    outbox.close()
    contents = bytearray(outbox.path.read_bytes())
    place = contents.index(b"." * 3000, contents.index(b"00000001")) + rng.randrange(3000)
    contents[place] ^= 1 << rng.randrange(8)
    outbox.path.write_bytes(contents)
    again = Outbox(Database(outbox.path, clock=ManualClock()))
    again.open()
    assert [one.row.id for one in again.lease(10)] == ["crop-2"]
    again.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET payload = x''",
        "UPDATE record SET payload = CAST('sha256 ' || payload AS BLOB)",
        "UPDATE record SET properties = replace(properties, 'sha256', 'sha257')",
        "UPDATE record SET properties = replace(properties, '1,2,3,4', '1,2,3,5')",
        "UPDATE record SET class = 1",
        "UPDATE record SET evict = 0",
    ],
)
def test_no_column_of_a_crop_that_names_its_sha256_can_change(outbox: Outbox, statement: str) -> None:
    outbox.append([named_crop(1), named_crop(2)]).result(DEADLINE_S)
    change(outbox, statement, seq=6)
    assert [one.row.id for one in outbox.lease(10)][5:] == ["crop-2"]


def test_a_crop_that_names_the_sha256_of_something_else_is_not_sent(outbox: Outbox) -> None:
    wrong = dataclasses.replace(crop(1), properties=named_crop(2).properties)
    outbox.append([wrong, named_crop(3)]).result(DEADLINE_S)
    assert [one.row.id for one in outbox.lease(10)][5:] == ["crop-3"]


def test_rows_of_before_there_were_digests_are_sent_and_new_ones_are_not_taken_for_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "outbox.sqlite3"
    version_1.write(path, delivered=0, waiting=3)
    outbox = Outbox(Database(path, clock=ManualClock()))
    outbox.open()
    outbox.append([judged(4), judged(5)]).result(DEADLINE_S)
    change(outbox, "UPDATE record SET digest = x''", seq=7)
    assert [one.row.id for one in outbox.lease(10, kinds=["verdict"])] == [
        *(f"verdict-{number}" for number in (1, 2, 3, 5)),
    ]
    outbox.close()


def test_the_broker_gets_an_event_in_place_of_the_row(tmp_path: Path, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port)
    one.outbox.append([dated(judged(number)) for number in range(1, 4)]).result(DEADLINE_S)
    change(one.outbox, CHANGES["a word of the payload"], seq=2)
    one.start()
    eventually(lambda: events_at(subscriber) == ["row_changed"], "it is told")
    one.stop(status("stopped"))
    subscriber.stop()
    messages = [json.loads(got.payload) for got in subscriber.received if "/verdict/" in got.topic]
    assert [message["sequence"] for message in messages] == [1, 3]
    assert all(message["verdict"] == "fail" for message in messages)
    (told,) = [json.loads(got.payload) for got in subscriber.received if got.topic == TOPICS.event()]
    assert (told["data"]["seq"], told["data"]["sequence"]) == (2, 2)


def test_a_number_that_was_changed_stands_in_nobodys_way(outbox: Outbox) -> None:
    change(outbox, "UPDATE record SET sequence = 8")
    outbox.lease(10)
    outbox.append([judged(number) for number in range(6, 10)]).result(DEADLINE_S)
    assert [one.row.sequence for one in outbox.lease(20)] == [1, 2, 4, 5, 6, 7, 8, 9]
