"""The chain is read from wherever records are kept, and the first broken link is named there."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.chain.report import Report, document, verify, words
from agent.chain.sources import SourceError
from agent.clock import ManualClock
from agent.contract.payloads import told
from agent.gateways.folder import FolderSink
from agent.outbox import file as outbox_file
from agent.outbox.seal import digest_of
from agent.outbox.spool import Limits
from agent.settings.gateways import FolderGateway
from contract import place
from store import Database as Mes
from store import read, read_other
from tests.agent.chain.made import KEY, OTHER, Kept, Station, a_day, kept
from tests.agent.outbox import version_1, version_3
from tests.agent.outbox.rows import TOPICS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def station(path: Path) -> Kept:
    """Ten verdicts with their pictures and a head; it is closed."""
    one = kept(path)
    for number in range(10):
        one.judge(*(b"picture %d" % index for index in range(number % 3)))
    one.notary.stop()
    one.close()
    return one


def checked(path: Path, **asked: int) -> Report:
    return verify(path, keys=[KEY.public_key()], **asked)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


def test_an_outbox_is_whole_and_says_what_is_proven(station: Kept) -> None:
    report = checked(station.path)
    (one,) = report.segments
    assert report.first_break is None
    assert (one.first, one.records, one.proven_to) == (1, one.last, one.last - 1)
    assert "no link is broken" in words(report)[-1] and document(report)["whole"] is True


def test_delivered_crops_and_trimmed_history_leave_a_chain_that_holds(path: Path) -> None:
    one = kept(path, limits=Limits(history_s=100))
    for _ in range(4):
        one.judge(b"picture")
    one.keeper.note(one.keeper._events.row("paused", "info", "it waits"))
    rows = one.outbox.lease(100, kinds=["verdict", "crop"])
    one.outbox.delivered([row.seq for row in rows])
    one.clock.advance(1000)
    one.notary.look()
    one.keeper.tidy()
    report = checked(path)
    (segment,) = report.segments
    assert report.first_break is None and segment.gone > 4 and segment.records >= 2
    one.outbox.delivered([row.seq for row in one.outbox.lease(100)])
    one.clock.advance(1000)
    one.keeper.tidy()
    assert checked(path).first_break is None
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT COUNT(*) FROM gone").fetchone()[0] == 0, "nothing older is left"
    one.close()


CHANGES: dict[str, tuple[str, ...]] = {
    "a payload": (
        "UPDATE record SET payload = CAST(replace(payload, 'pass', 'fail') AS BLOB) WHERE seq = 8",
    ),
    "a row that is deleted": ("DELETE FROM record WHERE seq = 8",),
    "a row whose digest stays": (
        "DELETE FROM record WHERE seq = 8",
        "INSERT INTO gone VALUES (8, 0, 4, (SELECT chain FROM record WHERE seq = 9), zeroblob(32))",
    ),
    "a place": ("UPDATE record SET chain = zeroblob(40) WHERE seq = 8",),
    "a number": ("UPDATE record SET seq = 700 WHERE seq = 8",),
    "two rows that change places": (
        "UPDATE record SET seq = 700 WHERE seq = 8",
        "UPDATE record SET seq = 8 WHERE seq = 9",
        "UPDATE record SET seq = 9 WHERE seq = 700",
    ),
    "its place, to none": ("UPDATE record SET chain = x'' WHERE seq = 8",),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_in_an_outbox_is_named(station: Kept, what: str) -> None:
    change(station.path, *CHANGES[what])
    report = checked(station.path)
    assert report.first_break is not None and "8" in report.first_break
    broken = [one.broken for one in report.segments if one.broken is not None]
    assert not broken or broken[0].number == 8


def test_a_row_that_was_changed_with_its_digest_is_found_by_the_chain(station: Kept) -> None:
    with closing(sqlite3.connect(station.path)) as database, database:
        columns = "id, class, topic, properties, content_type, sequence, payload, evict, chain"
        *content, at = database.execute(f"SELECT {columns} FROM record WHERE seq = 8").fetchone()
        content[6] = content[6].replace(b'"verdict":"pass"', b'"verdict":"fail"')
        sealed = digest_of(content, at)
        database.execute("UPDATE record SET payload = ?, digest = ? WHERE seq = 8", (content[6], sealed))
    broken = checked(station.path).segments[0].broken
    assert broken is not None and (broken.number, broken.sequence) == (8, 4)
    assert broken.what == "its content is not what the next record was chained to"


@pytest.mark.parametrize("end", ["first", "last"])
def test_an_outbox_that_was_cut_at_an_end(station: Kept, end: str) -> None:
    number = 1 if end == "first" else checked(station.path).segments[0].last
    change(station.path, f"DELETE FROM record WHERE seq = {number}")
    broken = checked(station.path).segments[0].broken
    assert broken is not None and broken.number == number


def test_an_outbox_of_an_older_agent_begins_its_chain_where_it_is_brought_up_to_date(path: Path) -> None:
    version_1.write(path, delivered=2, waiting=3)
    one = kept(path)
    one.sequence = 5
    one.judge()
    one.notary.stop()
    one.close()
    report = checked(path)
    assert (report.first_break, report.unchained) == (None, 6)
    assert report.segments[0].first == 11, "behind what was there"
    version_3.turn_back(path)
    again = kept(path)
    again.judge()
    again.notary.stop()
    again.close()
    report = checked(path)
    assert (report.first_break, report.unchained, len(report.segments)) == (None, 9, 1)


def test_a_mended_outbox_names_what_was_lost(station: Kept) -> None:
    change(station.path, "UPDATE record SET payload = CAST(payload || ' ' AS BLOB) WHERE seq IN (7, 8)")
    outbox_file.suspect(station.path)
    with station.path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(200))
    again = kept(station.path)
    report = checked(station.path)
    assert report.first_break is None and len(report.segments) == 2
    assert any(begin <= 7 and end >= 8 for begin, end in report.segments[0].lost)
    again.keeper.told_salvage(again.keeper._events.row("outbox_set_aside", "alarm", "told"))
    assert checked(station.path).first_break is None, "the signed head says it"
    again.close()


@pytest.fixture
def folder(tmp_path: Path, path: Path) -> Path:
    """That of a folder gateway, which has had everything."""
    one = kept(path)
    sink = FolderSink(FolderGateway(kind="folder", name="archive", path=tmp_path / "folder"), ManualClock())
    sink.open()
    for number in range(10):
        one.judge(*(b"picture %d of %d" % (index, number) for index in range(number % 3)))
    one.notary.stop()
    for waiting in one.outbox.lease(1000):
        sink.deliver([waiting])
    one.close()
    return tmp_path / "folder"


def test_a_folder_gateway_s_files_are_whole_with_their_pictures(folder: Path) -> None:
    report = checked(folder)
    (one,) = report.segments
    assert report.first_break is None and (one.pictures, report.pictures, one.heads) == (9, 9, 2)
    assert {file.name.partition("-")[0] for file in folder.glob("*.jsonl")} == {"verdicts", "heads"}


def test_a_line_and_a_picture_that_were_changed_are_named(folder: Path) -> None:
    (file,) = folder.glob("verdicts-*.jsonl")
    kept_lines = file.read_bytes()
    file.write_bytes(kept_lines.replace(b'"verdict":"fail"', b'"verdict":"pass"', 1))
    broken = checked(folder).segments[0].broken
    assert broken is not None and broken.where == f"{file}:2" and broken.sequence == 2
    file.write_bytes(kept_lines)
    picture = next(folder.glob("crops/*/*"))
    picture.write_bytes(b"another")
    assert str(picture) in (checked(folder).first_break or "")


def test_a_line_that_is_on_its_way_is_none_and_one_that_is_torn_is_told(folder: Path) -> None:
    (file,) = folder.glob("verdicts-*.jsonl")
    with file.open("ab") as lines:
        lines.write(b'{"schema":"plumbline.verd')
    assert checked(folder).first_break is None
    with file.open("ab") as lines:
        lines.write(b"\n")
    assert "it is no record" in (checked(folder).first_break or "")


@pytest.fixture
def mes(tmp_path: Path) -> Path:
    """A database of the consumer, with all that a day's station said."""
    database = Mes(f"sqlite:///{tmp_path / 'verdicts.sqlite3'}")
    day = a_day()
    full = {"camera": "top", "created": "2026-11-24T12:00:00Z", "part_id": None}
    for message in day.messages:
        said = json.loads(message)
        if said["schema"] == "plumbline.verdict/1":
            # the consumer asks for more members than the chain looks at
            body = read(TOPICS.verdict("top"), json.dumps({**said, **full}).encode())._replace(
                body=message.decode()
            )
            database.store([body], [])
        else:
            database.store([], [], others=[read_other(place(TOPICS.head()), message)])
    database.close()
    return tmp_path / "verdicts.sqlite3"


def test_what_an_mes_kept_is_whole_and_a_changed_body_is_named(mes: Path) -> None:
    assert checked(mes).first_break is None
    change(mes, "UPDATE verdicts SET body = replace(body, '\"pass\"', '\"fail\"') WHERE sequence = 3")
    broken = checked(mes).segments[0].broken
    assert broken is not None and broken.sequence == 3 and "verdicts 3" in broken.where


def test_json_lines_are_read_and_a_range_of_them(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    day = a_day()
    file.write_bytes(b"\n".join(day.messages))
    assert checked(file).first_break is None
    assert checked(file, first=2, last=5).segments[0].first == 2
    assert f"record {day.number + 1}" in (checked(file, last=day.number + 3).first_break or "")


def test_a_segment_that_nobody_signs_for_is_none_of_the_key_that_is_given(tmp_path: Path) -> None:
    forged = Station(segment=b"segment2")
    forged.verdict()
    forged.verdict()
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\n".join([*a_day().messages, *forged.messages]))
    told = verify(path, keys=[KEY.public_key()]).first_break or ""
    assert f"signs for segment {b'segment2'.hex()}, 1 to 2" in told
    assert verify(path).first_break is None


def test_without_a_key_two_keys_are_told(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    day = a_day()
    day.head(key=OTHER)
    file.write_bytes(b"\n".join(day.messages))
    assert "several keys" in (verify(file).first_break or "")
    assert verify(file, keys=[KEY.public_key(), OTHER.public_key()]).first_break is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "no .*jsonl in it"),
        (
            lambda path: sqlite3.connect(path).execute("CREATE TABLE a (b)").connection.close(),
            "neither an outbox",
        ),
        (os.mkfifo, "neither file nor folder"),
        (lambda path: path.write_bytes(b"\n"), "no record in it"),
    ],
)
def test_what_is_no_place_of_records_is_named(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "place")
    with pytest.raises(SourceError, match=said):
        checked(tmp_path / "place")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM chain", "end of the chain: it is none"),
        ("UPDATE chain SET number = 'x'", "end of the chain: it is none"),
        ("UPDATE chain SET link = x'00'", "end of the chain: it is none"),
        ("UPDATE chain SET segment = x'0102030405060708'", "in segment 0102030405060708, of which there is"),
        ("INSERT INTO salvage VALUES ('x')", "report of what was saved: it is none"),
    ],
)
def test_an_outbox_that_says_odd_things_of_itself_is_told_in_words(
    station: Kept, change: str, said: str
) -> None:
    station.close()
    with closing(sqlite3.connect(station.path)) as database, database:
        database.execute(change)
    assert said in (checked(station.path).first_break or "")


def test_what_is_no_file_in_a_folder_is_told_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "zz.jsonl")
    (folder / "zzz.jsonl").mkdir()
    assert "zz.jsonl: it is no file" in (checked(folder).first_break or "")
    assert [Path(one.where).name for one in checked(folder).odd] == ["zz.jsonl", "zzz.jsonl"]
    for name in ("zz.jsonl", "zzz.jsonl"):
        (folder / name).unlink() if name == "zz.jsonl" else (folder / name).rmdir()
    picture = next(iter(sorted(folder.glob("crops/*/*"))))
    picture.unlink()
    os.mkfifo(picture)
    assert "it is no file, and a verdict names it" in (checked(folder).first_break or "")


def test_a_range_in_which_there_is_no_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\n".join(a_day().messages))
    assert "there is no record from 1000 to the end" in (verify(path, first=1000).first_break or "")


def test_what_is_told_is_what_is_checked(path: Path) -> None:
    one = kept(path)
    one.judge(b"picture")
    rows = one.outbox.lease(10)
    assert all(row.chained is not None for row in rows)
    assert b'"chain":' in told(rows[0]).payload and b'"chain":' not in rows[0].row.payload
    one.close()
