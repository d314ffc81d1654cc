"""The example consumer: duplicates collapse, gaps have names and close, and no crash loses a verdict."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydantic import JsonValue

from agent.contract.arguments import Ack, Replay
from agent.contract.commands import Accepted, Response
from agent.contract.inbound import Inbound
from agent.contract.payloads import encode
from agent.remote.commands.admission import admit
from agent.schemas import examples
from tests.brokers import Mosquitto, eventually
from tests.deploy.mes.told import CONSUMER, SOURCE, TOPIC, Process, Publisher, holds, rows, verdict


@pytest.fixture
def station(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.stop()


@pytest.fixture
def consumer(tmp_path: Path, mosquitto: Mosquitto) -> Process:
    return Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The consumer's database, once it has made it."""
    connection = sqlite3.connect(tmp_path / "mes.sqlite3", timeout=60, isolation_level=None)
    yield connection
    connection.close()


def told(done: tuple[int, str]) -> tuple[int, list[str]]:
    """Exit code and what is said of gaps; the lines about each station have their own tests."""
    code, said = done
    return code, [line for line in said.splitlines() if "; last verdict" not in line]


def test_verdicts_that_come_twice_are_stored_once(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    consumer.start()
    station.send(TOPIC, *[verdict(number) for number in (1, 2, 2, 3, 1)])
    station.send(TOPIC, b"not a verdict", verdict(4))
    holds(stored, 4)
    assert consumer.stop() == 0
    assert consumer.said.splitlines()[-1] == "stored 4, again 2, crops 0, unreadable 1"
    assert stored.execute("SELECT payload FROM unreadable").fetchall() == [(b"not a verdict",)]
    assert told(consumer.gaps()) == (0, ["0 gaps in 1 stations"])


def test_a_gap_is_named_and_closes_when_the_verdict_is_replayed(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    consumer.start()
    station.send(TOPIC, verdict(1), verdict(2), verdict(5))
    holds(stored, 3)
    assert told(consumer.gaps()) == (
        1,
        [f"{SOURCE} before boot boot-1: 3 to 4 missing (2)", "1 gaps in 1 stations"],
    )
    station.send(TOPIC, verdict(3, replayed=True), verdict(4, replayed=True))
    holds(stored, 5)
    assert told(consumer.gaps()) == (0, ["0 gaps in 1 stations"])
    consumer.stop()


def asked(topic: str, payload: bytes) -> Accepted:
    """The command, if a station takes it."""
    decision = admit(
        Inbound(topic=topic, payload=payload, retained=False),
        examples.TOPICS,
        now=datetime.now(timezone.utc),
        clock_synced=True,
        seen=lambda _: False,
        allowed=lambda _: False,
    )
    assert isinstance(decision, Accepted), decision
    return decision


def answered(station: Publisher, first: int, last: int, **data: JsonValue) -> None:
    """The station is asked for exactly these and answers."""
    eventually(lambda: station.heard, "the station is asked")
    accepted = asked(*station.heard.pop())
    assert accepted.command.arguments == Replay(from_sequence=first, to_sequence=last)
    for number in range(first, last + 1):
        if data["replayed"] and [number, number] not in data.get("gone", []):  # type: ignore[operator]
            station.send(TOPIC, verdict(number, replayed=True))
    answer = Response(id=accepted.command.id, name="replay", code=200, message="done", data=data)
    station.send(accepted.reply_to, b"not an answer", b"[]", encode(answer))


def test_heal_asks_for_exactly_what_is_missing_and_is_a_success_once_it_has_come(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    consumer.start()
    station.send(TOPIC, verdict(1), verdict(4))
    holds(stored, 2)
    station.listen(examples.TOPICS.cmd("replay"))
    healing = consumer.begin("gaps", "--heal")
    answered(station, 2, 3, replayed=2)
    out, _ = healing.communicate(timeout=60)
    assert healing.returncode == 0, out
    assert f'{SOURCE}: asked for 2 to 3: 200 done {{"replayed": 2}}' in out
    assert out.splitlines()[-1] == "0 gaps in 1 stations"
    assert consumer.gaps("--heal")[0] == 0
    consumer.stop()


def test_what_the_station_has_no_more_is_told_as_gone_and_never_asked_for_again(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    consumer.start()
    station.send(TOPIC, verdict(1), verdict(6))
    holds(stored, 2)
    station.listen(examples.TOPICS.cmd("replay"))
    healing = consumer.begin("gaps", "--heal")
    answered(station, 2, 5, replayed=2, gone=[[3, 3], [5, 5], [1, 1], ["x"], 7])
    out, _ = healing.communicate(timeout=60)
    assert healing.returncode == 0, out
    for code, said in [(healing.returncode, out), consumer.gaps(), consumer.gaps("--heal")]:
        assert code == 0
        assert "3 to 3 gone for good (1)" in said and "5 to 5 gone for good (1)" in said
        assert said.splitlines()[-1] == "0 gaps in 1 stations; 2 verdicts are gone for good"
    assert not station.heard
    consumer.stop()


def test_heal_that_could_not_heal_is_no_success(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    consumer.start()
    station.send(TOPIC, verdict(1), verdict(4))
    holds(stored, 2)
    station.listen(examples.TOPICS.cmd("replay"))
    healing = consumer.begin("gaps", "--heal")
    answered(station, 2, 3, replayed=0)
    out, _ = healing.communicate(timeout=60)
    assert (healing.returncode, out.splitlines()[-1]) == (1, "1 gaps in 1 stations")
    consumer.stop()


def test_what_was_stored_is_confirmed_to_its_station(
    tmp_path: Path, mosquitto: Mosquitto, station: Publisher
) -> None:
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port, "--confirm")
    station.listen(examples.TOPICS.cmd("ack"))
    consumer.start()
    station.send(TOPIC, verdict(1), verdict(2), verdict(2))
    confirmed: list[str] = []

    def all_confirmed() -> bool:
        confirmed.clear()
        for said in station.heard:
            arguments = asked(*said).command.arguments
            assert isinstance(arguments, Ack)
            confirmed.extend(arguments.result_ids)
        return len(confirmed) == 3

    eventually(all_confirmed, "all are confirmed")
    assert {int(id_[-12:]) for id_ in confirmed} == {1, 2}
    consumer.stop()


def test_a_kill_between_receive_and_commit_loses_nothing(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    consumer.start()
    station.send(TOPIC, verdict(1))
    holds(stored, 1)
    stored.execute("BEGIN EXCLUSIVE")  # the consumer receives, and cannot commit
    station.send(TOPIC, *[verdict(number) for number in range(2, 30)])
    consumer.kill()
    stored.execute("ROLLBACK")
    assert rows(stored) == 1
    consumer.start()
    holds(stored, 29)
    assert consumer.gaps()[0] == 0
    consumer.stop()


@pytest.mark.slow
def test_a_consumer_that_is_killed_again_and_again_ends_with_every_verdict(
    consumer: Process, station: Publisher, stored: sqlite3.Connection
) -> None:
    rng = random.Random(5)
    consumer.start()
    sender = threading.Thread(target=station.send, args=(TOPIC, *map(verdict, range(1, 601))))
    sender.start()
    for _ in range(6):
        before = rows(stored)
        eventually(lambda before=before: rows(stored) >= min(before + 10, 600), "some are stored")  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.1))
        consumer.kill()
        consumer.start()
    sender.join()
    holds(stored, 600)
    assert told(consumer.gaps()) == (0, ["0 gaps in 1 stations"])
    consumer.stop()


def test_a_consumer_stores_into_either_database(url: str, mosquitto: Mosquitto, station: Publisher) -> None:
    consumer = Process(url, mosquitto.port)
    consumer.start()
    station.send(TOPIC, verdict(1), verdict(1), verdict(4), b"not a verdict")
    eventually(lambda: "3 missing (2)" in consumer.gaps()[1], "the last one is stored")
    station.send(TOPIC, verdict(2), verdict(3))
    eventually(lambda: consumer.gaps()[0] == 0, "the gap is closed")
    assert consumer.stop() == 0
    assert consumer.said.splitlines()[-1] == "stored 4, again 1, crops 0, unreadable 1"


def test_verdicts_wait_in_the_session_while_consumer_or_broker_are_away(
    tmp_path: Path, consumer: Process, mosquitto: Mosquitto, stored: sqlite3.Connection
) -> None:
    consumer.start()
    assert consumer.stop() == 0
    first = Publisher(mosquitto.port)
    first.send(TOPIC, verdict(1), verdict(2))
    first.stop()
    consumer.start()
    holds(stored, 2)
    mosquitto.stop()
    mosquitto.start()
    second = Publisher(mosquitto.port)
    second.send(TOPIC, verdict(3))
    second.stop()
    holds(stored, 3)
    assert consumer.stop() == 0


def test_crops_are_kept_under_their_digest_and_damaged_ones_are_not(
    tmp_path: Path, mosquitto: Mosquitto, station: Publisher
) -> None:
    folder = tmp_path / "crops"
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port, "--crops", folder)
    consumer.start()
    image, damaged = b"\xff\xd8 a picture", b"\xff\xd8 torn"
    station.crop(image)
    station.crop(image)
    station.crop(damaged, promised="ab" * 32)
    station.send(examples.TOPICS.crop("top"), b"\x89PNG from MQTT 3.1.1")
    eventually(lambda: len(list(folder.glob("*.*g"))) == 2, "two crops are kept")
    consumer.stop()
    assert (folder / f"{hashlib.sha256(image).hexdigest()}.jpg").read_bytes() == image
    assert consumer.said.splitlines()[-1] == "stored 0, again 0, crops 3, unreadable 1"


@pytest.mark.parametrize("database", ["mysql://x", "sqlite:////no/such/folder/x"])
def test_a_database_that_cannot_be_opened_is_one_clear_line(database: str) -> None:
    process = Process(database, 1)
    code, said = process.gaps()
    assert code == 2 and len(said.splitlines()) == 1 and said.startswith("consumer: ")


def refused(tmp_path: Path, *words: str) -> str:
    """What the one line says."""
    command = [sys.executable, CONSUMER, "run", "--database", f"sqlite:///{tmp_path}/mes.sqlite3", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nGEHEIM\n", b"GEHEIM\0", b"GEHEIM" * 1000, b"\xff\xfeG\0", b"GEHEIM\r\r x"]
)
def test_a_password_file_holds_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    said = refused(tmp_path, "--username", "mes", "--password-file", str(tmp_path / "secret"))
    assert "--password-file" in said and "GEHEIM" not in said


def test_what_is_no_file_is_not_read_as_a_password(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path)):
        assert "no file" in refused(tmp_path, "--username", "mes", "--password-file", place)


@pytest.mark.parametrize(
    "host", ["mes:GEHEIM@broker", "mqtt://GEHEIM", "mqtts://mes:GEHEIM@b:8883", "GEHEIM b"]
)
def test_an_address_is_no_host_and_is_not_told(tmp_path: Path, host: str) -> None:
    assert "GEHEIM" not in refused(tmp_path, "--host", host)
