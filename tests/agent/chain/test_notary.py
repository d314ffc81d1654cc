"""The end of the chain is signed in time, as a record of its own, with a key that only the station has."""

from __future__ import annotations

import json
import stat
from datetime import datetime, time, timezone
from pathlib import Path

import pytest

from agent.chain.heads import checker
from agent.chain.notary import last_head
from agent.chain.report import verify
from agent.clock import ManualClock
from agent.contract.head import HeadStatement
from agent.contract.row import Waiting
from agent.durable import unfinished_of
from agent.outbox import file as outbox_file
from agent.outbox import mend
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.trust.keys import KeyFileError
from agent.trust.private_keys import public_half, station_key, station_public_key
from tests.agent.chain.made import KEY, Kept, kept

CHECK = checker([KEY.public_key()])


def heads(station: Kept) -> list[tuple[Waiting, HeadStatement]]:
    rows = station.outbox.lease(10_000, kinds=["event"])
    return [(one, CHECK(one.row.payload)) for one in rows if one.row.topic.endswith("/head")]


def reasons(station: Kept) -> list[str]:
    return [statement.reason for _, statement in heads(station)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def test_a_segment_begins_with_a_head_and_every_minute_with_a_record_ends_with_one(path: Path) -> None:
    station = kept(path)
    for seconds in (30, 31, 61, 61):
        station.judge()
        station.clock.advance(seconds)
        station.notary.look()
    station.notary.stop()
    assert reasons(station) == ["begun", "minute", "minute", "minute"]
    station.close()


def test_where_nothing_was_recorded_nothing_is_signed(path: Path) -> None:
    station = kept(path)
    for _ in range(5):
        station.clock.advance(100)
        station.notary.look()
    station.notary.stop()
    assert reasons(station) == ["begun"]
    station.judge()
    station.notary.stop()
    assert reasons(station) == ["begun", "stop"]
    station.close()


def test_a_head_signs_for_what_is_directly_in_front_of_it(path: Path) -> None:
    station = kept(path)
    station.judge(b"picture")
    station.notary.stop()
    row, statement = heads(station)[-1]
    assert row.chained is not None
    assert (statement.number, statement.link) == (row.seq - 1, row.chained.previous.hex())
    assert (statement.segment, statement.first) == (row.chained.segment.hex(), 1)
    station.close()


def test_the_end_of_a_shift_is_signed_at_its_moment(path: Path) -> None:
    noon = datetime(2026, 1, 1, 13, 59, 30, tzinfo=timezone.utc).astimezone()
    clock = ManualClock(noon.astimezone(timezone.utc))
    end = time(noon.hour, 59, 50)
    station = kept(path, clock=clock, shift_starts=(end, time((noon.hour + 8) % 24)))
    for seconds in (10, 11, 10):
        station.judge()
        clock.advance(seconds)
        station.notary.look()
    assert reasons(station) == ["begun", "shift"]
    station.close()


def test_what_was_mended_names_the_last_head_of_the_segment_before(path: Path) -> None:
    station = kept(path)
    station.judge()
    station.notary.stop()
    _, before = heads(station)[-1]
    station.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    again = kept(path)
    _, statement = heads(again)[-1]
    assert statement.reason == "mended" and statement.follows is not None
    assert statement.follows.model_dump() == {
        "segment": before.segment,
        "number": before.number,
        "link": before.link,
    }
    again.close()


def test_an_outbox_that_was_removed_is_followed_by_one_that_names_its_last_head(path: Path) -> None:
    station = kept(path)
    station.judge()
    station.notary.stop()
    station.close()
    number = json.loads(last_head(path).read_bytes())["number"]
    for file in path.parent.glob("outbox.sqlite3*"):
        if file != last_head(path):
            file.unlink()
    again = kept(path)
    ((_, statement),) = heads(again)
    assert statement.reason == "mended" and statement.follows is not None
    assert statement.follows.number == number
    again.close()


def test_an_older_copy_of_the_outbox_gives_no_number_of_the_chain_twice(path: Path) -> None:
    station = kept(path)
    station.judge()
    station.notary.stop()
    station.close()
    copy = path.read_bytes()
    station = kept(path)
    station.judge()
    station.notary.stop()
    signed = json.loads(last_head(path).read_bytes())
    station.close()
    for file in path.parent.glob("outbox.sqlite3-*"):
        file.unlink()
    path.write_bytes(copy)
    again = kept(path)
    again.judge()
    again.notary.stop()
    _, statement = heads(again)[-2]
    assert statement.reason == "mended" and statement.follows is not None
    assert statement.follows.model_dump() == signed
    assert statement.segment != signed["segment"]
    report = verify(path, keys=[KEY.public_key()])
    assert report.first_break is None and len(report.segments) == 2
    again.close()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"segment":"x","number":1,"link":"y"}'])
def test_a_damaged_note_of_the_last_head_is_none(path: Path, content: bytes) -> None:
    last_head(path).write_bytes(content)
    station = kept(path)
    ((_, statement),) = heads(station)
    assert (statement.reason, statement.follows) == ("begun", None)
    station.close()


def test_the_station_s_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3.key"
    key = station_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert station_key(path).private_bytes_raw() == key.private_bytes_raw()
    public_half(path).unlink()
    station_key(path)
    assert station_public_key(path).public_bytes_raw() == key.public_key().public_bytes_raw()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", bytes(100)])
def test_a_file_that_is_no_key_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "outbox.sqlite3.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="bring it back, or move it away"):
        station_key(path)
    assert path.read_bytes() == content


def test_a_key_with_which_every_user_could_sign_is_none(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3.key"
    station_key(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match=r"every user of this machine can use it \(mode 0644\); chmod 600"):
        station_key(path)
    path.chmod(0o640)
    station_key(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be made or read"):
        station_key(tmp_path / "absent" / "outbox.sqlite3.key")
    with pytest.raises(KeyFileError, match="makes it at its first start"):
        station_public_key(tmp_path / "outbox.sqlite3.key")


def test_a_start_over_a_file_in_the_middle_of_an_exchange_loses_no_head(path: Path) -> None:
    station = kept(path)
    station.judge()
    station.close()
    outbox_file.suspect(path)
    mend.open_or_mend(path, clock=ManualClock())
    again = kept(path)
    assert reasons(again) == ["begun"], "it was sound, so the segment goes on"
    again.close()


def test_a_start_that_was_cut_before_it_signed_is_made_up_for(path: Path) -> None:
    station = kept(path)
    for _ in range(30):
        station.judge(bytes(3000))
    station.notary.stop()
    _, before = heads(station)[-1]
    station.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 4096 // 2 * 4096)
    cut = Outbox(Database(path, clock=ManualClock()))
    cut.open()  # it is mended, and the power goes before anybody signs
    assert cut.salvaged is not None and cut.salvaged.lost_rows
    cut.close()
    again = kept(path)
    _, statement = heads(again)[-1]
    assert statement.reason == "mended" and statement.follows is not None
    assert (statement.follows.segment, statement.lost) == (before.segment, cut.salvaged.lost_rows)
    again.close()


def test_a_key_that_was_cut_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3.key"
    unfinished_of(path).write_bytes(b"-----BEGIN")
    public_half(path).write_bytes(b"of another that never was")
    key = station_key(path)
    assert station_public_key(path).public_bytes_raw() == key.public_key().public_bytes_raw()
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, public_half(path).name]
