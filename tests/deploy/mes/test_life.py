"""A check knows no success without proof of life: no database, dead stations, full outboxes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.contract.payloads import encode
from agent.schemas import examples
from contract import ConsumerError, UnreadableError, place
from gaps import Gap, Gone, without_gone
from life import Life, describe, read_event, read_status
from report import verdict as exit_code
from store import Database, read
from tests.brokers import Mosquitto, eventually
from tests.deploy.mes.told import SOURCE, TOPIC, Process, Publisher, holds, verdict

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def status(state: str, reason: str | None = None) -> bytes:
    return encode(examples.status().model_copy(update={"state": state, "reason": reason}))


def event(name: str, number: int) -> bytes:
    return encode(examples.event().model_copy(update={"event": name, "event_id": f"event-{number}"}))


def files(folder: Path) -> list[tuple[str, bytes]]:
    return sorted((str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def no_file(folder: Path) -> str:
    return f"sqlite:///{folder}/verdict.sqlite3"


def empty_file(folder: Path) -> str:
    (folder / "x").write_bytes(b"")
    return f"sqlite:///{folder}/x"


def text_file(folder: Path) -> str:
    (folder / "x").write_text("my notes, longer than the header of a database " * 40)
    return f"sqlite:///{folder}/x"


def somebody_elses(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "x")) as other:
        other.execute("CREATE TABLE theirs (id)")
    return f"sqlite:///{folder}/x"


def a_folder(folder: Path) -> str:
    return f"sqlite:///{folder}"


def no_name(_: Path) -> str:
    return "sqlite:///"


def in_memory(_: Path) -> str:
    return "sqlite:///:memory:"


@pytest.mark.parametrize(
    "wrong", [no_file, empty_file, text_file, somebody_elses, a_folder, no_name, in_memory]
)
@pytest.mark.parametrize("options", [(), ("--heal",)])
def test_a_database_that_run_has_not_made_is_refused_and_left_as_it_is(
    tmp_path: Path, wrong: object, options: tuple[str, ...]
) -> None:
    url = wrong(tmp_path)  # type: ignore[operator]
    before = files(tmp_path)
    code, said = Process(url, 1).gaps(*options)
    assert code == 2 and len(said.splitlines()) == 1 and said.startswith("consumer: "), said
    assert files(tmp_path) == before


def test_a_database_without_our_tables_is_refused_on_either_server(url: str) -> None:
    code, said = Process(url, 1).gaps()
    assert code == 2 and len(said.splitlines()) == 1, said
    Database(url).close()
    code, said = Process(url, 1).gaps()
    assert code == 3 and "no station is known" in said


@pytest.fixture
def station(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.stop()


@pytest.mark.slow
def test_what_stations_say_of_themselves_reaches_either_database(
    url: str, mosquitto: Mosquitto, station: Publisher
) -> None:
    consumer = Process(url, mosquitto.port)
    station.send(examples.TOPICS.status(), status("online"), retain=True)
    consumer.start()
    station.send(TOPIC, verdict(41), verdict(42), verdict(7, replayed=True))

    def said(*words: str) -> bool:
        return all(word in consumer.gaps()[1] for word in words)

    eventually(lambda: said("online", "last verdict 42 came"), "it is online")
    station.send(examples.TOPICS.event(), event("spool_full", 1))
    eventually(lambda: said("its outbox is full"), "its outbox is full")
    assert consumer.gaps()[0] == 1  # 8 to 40 are missing, too
    station.send(TOPIC, *[verdict(number, replayed=True) for number in range(8, 41)])
    eventually(lambda: consumer.gaps()[0] == 3, "nothing is missing, but it is not well")
    station.send(examples.TOPICS.event(), event("spool_recovered", 2), event("spool_full", 1))
    eventually(lambda: consumer.gaps()[0] == 0, "it has recovered")
    station.send(examples.TOPICS.status(), status("offline", "connection lost \x1b[2J"), retain=True)
    eventually(lambda: consumer.gaps()[0] == 3, "it has died")
    assert said("offline (connection lost \\x1b[2J) told", "last verdict 42 came")
    assert consumer.stop() == 0


@pytest.mark.parametrize(
    ("state", "spool", "expected"),
    [
        ("online", None, 0),
        ("degraded", "spool_recovered", 0),
        ("stopped", None, 0),
        (None, None, 0),
        ("offline", None, 3),
        ("online", "spool_full", 3),
    ],
)
def test_the_exit_code_says_what_is_missing_before_who_is_dead(
    state: str | None, spool: str | None, expected: int
) -> None:
    life = Life(SOURCE, state, None, None, None, None, None, spool)
    gap = Gap(SOURCE, "boot", 1, 2, True)
    assert exit_code([], [life]) == exit_code([gap._replace(gone=True)], [life]) == expected
    assert exit_code([gap], [life]) == 1
    assert exit_code([], []) == 3


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-9), "0 s"),
        (timedelta(seconds=119), "119 s"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_ages_are_told_in_one_unit(ago: timedelta, words: str) -> None:
    then = (NOW - ago).isoformat()
    told = describe(Life(SOURCE, "offline", None, None, then, 3, then, None), NOW)
    assert told == f"{SOURCE}: offline told {words} ago; last verdict 3 came {words} ago"


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b"[]", b"no", b'{"schema": "plumbline.status/1"}', b"[" * 9999]
)
def test_what_is_no_status_and_no_event_is_unreadable(broken: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_status(place(examples.TOPICS.status()), broken, "now")
    with pytest.raises(UnreadableError):
        read_event(place(examples.TOPICS.event()), broken)


def test_a_place_may_be_named_like_a_kind_of_message() -> None:
    where = place("plumbline/v1/crop/status/verdict/crop/verdict/crop")
    assert (where.station, where.kind) == ("crop", "verdict")


def test_gone_ranges_cut_gaps_of_their_own_boot_alone() -> None:
    gap = Gap(SOURCE, "boot", 10, 20, True)
    gone = [Gone(SOURCE, "boot", *pair) for pair in [(5, 11), (11, 12), (15, 15), (20, 30)]]
    gone += [Gone(SOURCE, "other", 1, 99), Gone("elsewhere", "boot", 1, 99)]
    cut = [(one.first, one.last, one.gone) for one in without_gone([gap], gone)]
    assert cut == [
        (10, 11, True),
        (12, 12, True),
        (13, 14, False),
        (15, 15, True),
        (16, 19, False),
        (20, 20, True),
    ]


def test_a_file_that_was_deleted_under_us_is_noticed_before_anything_is_acknowledged(tmp_path: Path) -> None:
    for number, harm in enumerate((Path.unlink, lambda path: path.rename(path.with_suffix(".old"))), 1):
        file = tmp_path / f"{number}.sqlite3"
        database = Database(f"sqlite:///{file}")
        database.store([read(TOPIC, verdict(1))], [])
        harm(file)
        with pytest.raises(ConsumerError, match="deleted or replaced"):
            database.store([read(TOPIC, verdict(2))], [])
        database.close()


def test_reading_goes_on_while_verdicts_are_stored(
    tmp_path: Path, mosquitto: Mosquitto, station: Publisher
) -> None:
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port)
    consumer.start()
    station.send(TOPIC, verdict(1))
    with closing(sqlite3.connect(tmp_path / "mes.sqlite3", timeout=0, isolation_level=None)) as reader:
        holds(reader, 1)
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM verdicts").fetchone()  # and the snapshot stays open
        with closing(sqlite3.connect(tmp_path / "mes.sqlite3", timeout=0, isolation_level=None)) as another:
            for number in range(2, 30):
                station.send(TOPIC, verdict(number))
                another.execute("SELECT COUNT(*) FROM verdicts").fetchone()
            holds(another, 29)
        assert reader.execute("SELECT COUNT(*) FROM verdicts").fetchone() == (1,)
    assert consumer.stop() == 0


def test_a_writer_of_the_same_file_is_waited_for(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x")
    assert database._connection.execute("PRAGMA busy_timeout").fetchone()[0] >= 10_000
    assert database._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()
