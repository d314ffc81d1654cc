"""The consumer's own check finds what the station's does, in what it has kept."""

from __future__ import annotations

import base64
import dataclasses
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import store
from agent.chain import sources
from agent.chain.entry import Entry, of_payload
from agent.chain.heads import checker
from agent.chain.report import verify
from agent.chain.walk import walk
from agent.contract.chain import borne, parted
from agent.contract.head import HEAD_TYPE
from agent.schemas import examples
from agent.trust.envelope import encoding
from agent.trust.private_keys import public_pem
from chain import Checked, Segment, check, describe, read_keys
from consumer import Batch
from contract import ConsumerError, UnreadableError, place
from store import Database, read, read_other
from tests.agent.chain.made import KEY, OTHER, Station, a_day, verdict_payload
from tests.agent.outbox.rows import TOPICS
from tests.deploy.mes.told import CONSUMER, verdict

KEYS = {KEY.public_key().public_bytes_raw().hex()}
DAY = a_day().messages
SOURCE = "plumbline/v1/acme/plant/line/cell3-cam1"


def checked(messages: list[bytes], keys: set[str] = KEYS, **asked: int) -> list[Segment]:
    return found(messages, keys, **asked).segments


def found(messages: list[bytes], keys: set[str] = KEYS, **asked: int) -> Checked:
    bodies = [
        (f"verdicts {number}", SOURCE, one.decode(errors="replace")) for number, one in enumerate(messages, 1)
    ]
    return check(bodies, keys, asked.get("first"), asked.get("last"))


def twin(messages: list[bytes]) -> list[bool]:
    """Whether a link of each segment is broken, or nobody signs for it, by the station's own program."""
    found = []
    for number, message in enumerate(messages, 1):
        try:
            found.append(of_payload(message, str(number)))
        except ValueError:
            continue
    walked = walk([one for one in found if isinstance(one, Entry)], checker([KEY.public_key()]))
    return sorted(one.broken is not None or not one.heads for one in walked)


def test_a_day_is_whole_and_proven_to_its_last_head() -> None:
    (one,) = checked(DAY)
    assert (one.broken, one.heads, one.proven) == (None, 4, one.last - 1)
    assert one.keys == tuple(KEYS)


def test_each_segment_is_told_with_the_station_that_it_is_of() -> None:
    (one,) = checked(DAY)
    assert one.source and describe(one).startswith(f"{one.source}, segment {one.name}: {one.first} to ")


def test_consumer_and_station_hold_the_same_columns_against_their_records() -> None:
    assert store.SAID == sources.SAID


def test_what_was_said_again_is_the_same_record() -> None:
    again = [one.replace(b'"replayed":false', b'"replayed":true') for one in DAY[3:]]
    (one,) = checked([*DAY[:3], *again])
    assert one.broken is None


@given(st.integers(0, len(DAY) - 1), st.data())
def test_it_finds_what_the_station_s_program_finds(index: int, data: st.DataObject) -> None:
    act = data.draw(st.sampled_from(["change", "remove", "exchange"]), label="act")
    messages = list(DAY)
    if act == "change":
        message = bytearray(messages[index])
        message[data.draw(st.integers(0, len(message) - 1), label="byte")] ^= 1 << data.draw(
            st.integers(0, 6)
        )
        messages[index] = bytes(message)
    elif act == "remove":
        del messages[index]
    else:
        other = data.draw(st.integers(0, len(DAY) - 1), label="other")
        (one, at), (two, at_two) = parted(messages[index]), parted(messages[other])
        assert at is not None and at_two is not None
        messages[index], messages[other] = borne(two, at.words()), borne(one, at_two.words())
    assert sorted(one.broken is not None for one in checked(messages)) == twin(messages)


def test_the_first_broken_link_is_named_with_its_place_and_verdict() -> None:
    messages = list(DAY)
    messages[3] = messages[3].replace(b'"verdict":"pass"', b'"verdict":"fail"')
    (one,) = checked(messages)
    assert one.broken is not None
    assert one.broken.startswith("verdicts 4: broken at record 7, verdict 3: its content is not what")
    assert "expected: " in one.broken and "there stands: " in one.broken


def test_a_gap_that_a_signed_head_explains_is_none() -> None:
    day = a_day()
    after = Station(segment=b"segment2", number=day.number)
    after.head(reason="mended", follows=day.end(), lost=((5, 9),))
    rest = [one for one in day.messages if not 6 <= _number(one) <= 9]
    assert [one.broken for one in checked([*rest, *after.messages])] == [None, None]
    assert [one.broken is None for one in checked(rest)] == [False]


def _number(message: bytes) -> int:
    at = parted(message)[1]
    assert at is not None
    return at.number


def test_a_head_of_another_key_counts_for_nothing() -> None:
    day = a_day()
    day.head(key=OTHER)
    assert "not one of those given" in (checked(day.messages)[0].broken or "")
    assert "several keys" in found(day.messages, set()).broken[0]


def test_a_segment_that_no_head_signs_for_is_not_the_station_s() -> None:
    forged = Station(segment=b"segment2")
    for content in (parted(one)[0] for one in DAY):
        if b"plumbline.head" not in content:
            forged.say(content.replace(b'"verdict":"fail"', b'"verdict":"pass"'))
    (told,) = found([*DAY, *forged.messages]).broken
    assert "no head of a key that was given signs for it" in told
    assert found([*DAY, *forged.messages], set()).segments[0].heads == 4


def test_keys_are_told_apart_by_station_over_all_its_segments() -> None:
    """A loss that another key signs for hides nothing."""
    day = a_day()
    forged = Station(segment=b"segment2", number=day.number)
    forged.head(key=OTHER, reason="mended", follows=day.end(), lost=((5, 9),))
    rest = [one for one in day.messages if not 6 <= _number(one) <= 9]
    assert found([*rest, *forged.messages], set()).broken == [
        f"{SOURCE}: signed with several keys; say with --key which are right"
    ]
    assert found([*rest, *forged.messages]).broken


def test_what_was_put_in_without_a_place_is_named() -> None:
    found_ = found([*DAY, verdict_payload(99)])
    assert found_.unplaced == 1 and found_.broken[0].startswith(f"verdicts {len(DAY) + 1}: put in")
    older = found([*DAY, verdict_payload(99, boot_id="of-before")])
    assert older.unplaced == 1 and older.broken == []


@pytest.mark.parametrize(
    "more",
    [
        {"number": "x"},
        {"segment": []},
        {"follows": "x"},
        {"follows": {"segment": [], "number": 1}},
        {"follows": {"segment": "x", "number": 1}, "lost": [1]},
        {"follows": {"segment": "x", "number": 1}, "lost": [["a", "b"]]},
    ],
)
def test_a_head_that_says_odd_things_is_no_head(more: dict[str, object]) -> None:
    payload = json.dumps({**json.loads(base64.b64decode(json.loads(parted(DAY[-1])[0])["payload"])), **more})
    head = {**json.loads(parted(DAY[-1])[0]), "payload": base64.b64encode(payload.encode()).decode()}
    head["signatures"] = [
        {"keyid": "", "sig": base64.b64encode(KEY.sign(encoding(payload.encode(), HEAD_TYPE))).decode()}
    ]
    day = a_day()
    day.say(json.dumps(head, separators=(",", ":")).encode())
    assert checked(day.messages)[0].broken is not None


@pytest.mark.parametrize("content", [{"schema": "plumbline.verdict/1", "defects": 5}, {"schema": []}])
def test_a_record_of_odd_members_stops_no_check(content: dict[str, object]) -> None:
    day = a_day()
    day.say(json.dumps(content, separators=(",", ":")).encode())
    day.head()
    assert len(checked(day.messages)) == 1


def two_segments() -> list[bytes]:
    day = a_day()
    after = Station(segment=b"segment2", number=day.number)
    after.head(reason="mended", follows=day.end())
    after.verdict()
    after.head()
    return [*day.messages, *after.messages]


def test_a_range_goes_over_a_new_segment_and_misses_the_end_of_the_one_before() -> None:
    both = two_segments()
    end = _number(both[-1])
    assert found(both, first=1, last=end).broken == []
    assert found(both, first=2).broken == []
    cut = [one for one in both if not 25 <= _number(one) <= 31]
    (told,) = found(cut).broken
    assert "25 to 31 missing beside record 23" in told
    (entries,) = [[one for one in (of_payload(m, "x") for m in cut) if isinstance(one, Entry)]]
    assert [one.broken is None for one in walk(entries, checker([KEY.public_key()]))] == [False, True]


def test_a_segment_in_the_middle_that_is_missing_is_named() -> None:
    day = a_day()
    middle = Station(segment=b"segment2", number=day.number)
    middle.head(reason="mended", follows=day.end())
    middle.verdict()
    after = Station(segment=b"segment3", number=middle.number)
    after.head(reason="mended", follows=middle.end())
    after.verdict()
    assert found([*day.messages, *middle.messages, *after.messages]).broken == []
    assert found(after.messages).broken == []  # it is all that there ever came
    left = [*day.messages, *after.messages]
    (told,) = found(left).broken
    assert "the segment that it follows is missing; expected: " + b"segment2".hex() in told
    entries = [one for one in (of_payload(message, "x") for message in left) if isinstance(one, Entry)]
    walked = walk(entries, checker([KEY.public_key()]))
    assert [one.broken is None for one in walked] == [True, False]


def test_a_column_that_says_another_thing_than_its_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mes.sqlite3"
    database = Database(f"sqlite:///{path}")
    database.store([read(examples.TOPICS.verdict("top"), one) for one in map(verdict, (1, 2))], [])
    assert list(database.altered()) == []
    database.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE verdicts SET verdict = 'odd' WHERE sequence = 2")
    database = Database(f"sqlite:///{path}")
    (told,) = database.altered()
    database.close()
    assert told.startswith("verdicts 2: changed beside its record: column verdict says 'odd'")
    assert "column verdict says 'odd'" in (verify(path).first_break or "")


def test_a_range_has_its_ends() -> None:
    assert checked(DAY, first=4, last=10)[0].broken is None
    assert found(DAY, first=1000).broken == ["there is no record from 1000 to the end"]
    assert "broken at record 4" in (checked(DAY[4:], first=4, last=10)[0].broken or "")
    end = _number(DAY[-1])
    assert f"broken at record {end}" in (checked(DAY[:-1], last=end)[0].broken or "")


def test_the_key_is_read_from_the_file_that_the_station_shows(tmp_path: Path) -> None:
    (tmp_path / "station.pem").write_bytes(public_pem(KEY.public_key()))
    assert read_keys([tmp_path / "station.pem"]) == KEYS
    (tmp_path / "odd.pem").write_text("odd")
    for name in ("odd.pem", "absent.pem"):
        with pytest.raises(ConsumerError, match=name):
            read_keys([tmp_path / name])


def test_what_the_consumer_keeps_can_be_checked(url: str, tmp_path: Path) -> None:
    station = Station()
    station.head(reason="begun")
    for sequence in range(1, 4):
        content = json.dumps(json.loads(verdict(sequence)), separators=(",", ":")).encode()
        station.say(content)
        for defect in json.loads(content)["defects"]:
            if defect["crop"] is not None:
                station.number, station.link = (
                    station.place.number,
                    station.place.link(bytes.fromhex(defect["crop"]["sha256"])),
                )
    station.head(reason="stop")
    topics = {b"verdict/1": examples.TOPICS.verdict("top"), b"head/1": TOPICS.head()}
    messages = [
        Message(next(topic for sign, topic in topics.items() if b'"plumbline.' + sign in one), one)
        for one in station.messages
    ]
    batch = Batch(messages)  # type: ignore[arg-type]
    assert not batch.unreadable
    database = Database(url)
    database.store(batch.verdicts, [], others=[*batch.others, *batch.others])
    (one,) = check(database.bodies(), KEYS).segments
    assert list(database.altered()) == []
    database.close()
    assert (one.broken, one.heads, one.last) == (None, 2, station.number)
    (tmp_path / "station.pem").write_bytes(public_pem(KEY.public_key()))
    asked = [
        sys.executable,
        str(CONSUMER),
        "check",
        "--database",
        url,
        "--key",
        str(tmp_path / "station.pem"),
    ]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "no link is broken"), done.stderr


@dataclasses.dataclass(frozen=True)
class Message:
    """As much of paho's as the consumer reads."""

    topic: str
    payload: bytes


def test_a_head_that_another_station_says_again_is_not_kept() -> None:
    """Else it stood in the place of the record itself, which comes later and has the same digest."""
    head = next(one for one in DAY if b"plumbline.head" in one)
    kept_ = read_other(place(f"plumbline/v1/acme/plant/line/{TOPICS.station}/head"), head)
    assert kept_.body.encode() == head
    with pytest.raises(UnreadableError, match=f"station '{TOPICS.station}' on the topic of 'other'"):
        read_other(place("plumbline/v1/acme/plant/line/other/head"), head)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[" * 100_000, b'{"a":"\x00"}'])
def test_what_is_no_record_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_other(place(examples.TOPICS.head()), payload)
