"""The consumer's own check finds what the station's does, in what it has kept."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.chain.entry import Entry, of_payload
from agent.chain.heads import checker
from agent.chain.walk import walk
from agent.contract.chain import borne, parted
from agent.schemas import examples
from agent.trust.private_keys import public_pem
from chain import Segment, check, describe, read_keys
from consumer import Batch
from contract import ConsumerError, UnreadableError, place
from store import Database, read_other
from tests.agent.chain.made import KEY, OTHER, Station, a_day
from tests.deploy.mes.told import CONSUMER, verdict

KEYS = {KEY.public_key().public_bytes_raw().hex()}
DAY = a_day().messages


def checked(messages: list[bytes], keys: set[str] = KEYS, **asked: int) -> list[Segment]:
    bodies = [(f"verdicts {number}", one.decode(errors="replace")) for number, one in enumerate(messages, 1)]
    return check(bodies, keys, asked.get("first"), asked.get("last"))


def twin(messages: list[bytes]) -> list[bool]:
    """Whether a link of each segment is broken, by the station's own program."""
    found = []
    for number, message in enumerate(messages, 1):
        try:
            found.append(of_payload(message, str(number)))
        except ValueError:
            continue
    walked = walk([one for one in found if isinstance(one, Entry)], checker([KEY.public_key()]))
    return sorted(one.broken is not None for one in walked)


def test_a_day_is_whole_and_proven_to_its_last_head() -> None:
    (one,) = checked(DAY)
    assert (one.broken, one.heads, one.proven) == (None, 4, one.last - 1)
    assert one.keys == tuple(KEYS)


def test_each_segment_is_told_with_the_station_that_it_is_of() -> None:
    (one,) = checked(DAY)
    station = json.loads(DAY[0])["station"]
    assert describe(one).startswith(f"{station}, segment {one.name}: {one.first} to {one.last}, 4 heads")
    (other,) = checked([DAY[1].replace(b'"station":', b'"stated":')])
    assert describe(other).startswith(f"?, segment {one.name}: ")


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
    assert "several keys" in (checked(day.messages, set())[0].broken or "")


def test_a_range_has_its_ends() -> None:
    assert checked(DAY, first=4, last=10)[0].broken is None
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
    topics = {b"verdict/1": examples.TOPICS.verdict("top"), b"head/1": examples.TOPICS.head()}
    messages = [
        Message(next(topic for sign, topic in topics.items() if b'"plumbline.' + sign in one), one)
        for one in station.messages
    ]
    batch = Batch(messages)  # type: ignore[arg-type]
    assert not batch.unreadable
    database = Database(url)
    database.store(batch.verdicts, [], others=[*batch.others, *batch.others])
    (one,) = check(database.bodies(), KEYS)
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


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[" * 100_000, b'{"a":"\x00"}'])
def test_what_is_no_record_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_other(place(examples.TOPICS.head()), payload)
