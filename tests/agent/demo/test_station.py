"""A played day arrives whole at a consumer, in the messages of the contract, and waits where no broker is."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from agent.clock import ManualClock, SystemClock
from agent.contract.topics import Topics
from agent.demo.day import Piece, day
from agent.demo.station import Played, Script, simulate
from agent.outbox.outbox import Outbox
from agent.schemas.printed import printed
from agent.settings.settings import Identity, Mqtt, Settings
from agent.settings.settings import Outbox as OutboxSettings
from tests.brokers import HOST, Mosquitto, free_port
from tests.deploy.mes.told import Process, holds

TOPICS = Topics(site="plant1", area="press", line="l2", station="simulated")
HOURS = 0.1
BEGUN = 1  # the head with which the chain of records begins


def pieces() -> list[Piece]:
    return list(day(3, hours=HOURS, cameras=("cam1", "cam2"), rate_hz=1.0))


def play(path: Path, port: int, *, stop: threading.Event | None = None) -> Played:
    return simulate(
        pieces(),
        station=Settings(
            identity=Identity(site="plant1", area="press", line="l2", station="simulated"),
            mqtt=Mqtt(host=HOST, port=port),
            outbox=OutboxSettings(path=path, min_free_bytes=0),
        ),
        hours=HOURS,
        speed=600,
        seed=3,
        clock=SystemClock(),
        stop=stop or threading.Event(),
    )


def script() -> Script:
    ids = iter(range(10_000))
    began = ManualClock().utc_now()
    return Script(TOPICS, boot_id="b", seed=1, began=began, new_id=lambda: f"id-{next(ids)}")


def test_every_row_keeps_the_contract_and_says_that_it_is_simulated() -> None:
    validator = jsonschema.Draft202012Validator(printed("verdict"))
    writer = script()
    for sequence, piece in enumerate(pieces(), start=1):
        said, *crops = writer.rows(piece, sequence)
        told = json.loads(said.payload)
        validator.validate(told)
        assert told["is_simulated"] is True and told["sequence"] == sequence
        assert (told["verdict"], len(told["defects"])) == (piece.verdict, len(crops))
        for defect, crop in zip(told["defects"], crops, strict=True):
            assert defect["crop"]["sha256"] == dict(crop.properties)["sha256"]
            picture = cv2.imdecode(np.frombuffer(crop.payload, np.uint8), cv2.IMREAD_UNCHANGED)
            assert picture is not None and picture.shape == (defect["bbox_px"][3], defect["bbox_px"][2])


def test_the_same_seed_makes_the_same_rows() -> None:
    failed = [piece for piece in pieces() if piece.verdict == "fail"]
    assert script().rows(failed[0], 1) == script().rows(failed[0], 1)


@pytest.mark.slow
def test_a_consumer_ends_with_as_many_rows_as_were_committed_and_no_gap(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    crops = tmp_path / "crops"
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port, "--crops", crops)
    consumer.start()
    first = play(tmp_path / "outbox.sqlite3", mosquitto.port)
    second = play(tmp_path / "outbox.sqlite3", mosquitto.port)
    stored = sqlite3.connect(tmp_path / "mes.sqlite3")
    count = len(pieces())
    assert sum(first.verdicts.values()) == sum(second.verdicts.values()) == count
    assert (first.first_sequence, first.last_sequence) == (1, count)
    assert (second.first_sequence, second.last_sequence) == (count + 1, 2 * count)
    assert first.waiting == second.waiting == 0
    holds(stored, 2 * count)
    assert consumer.stop() == 0
    code, said = consumer.gaps()
    assert (code, said.splitlines()[-1]) == (0, "0 gaps in 1 stations")
    by_verdict = dict(stored.execute("SELECT verdict, COUNT(*) FROM verdicts GROUP BY verdict").fetchall())
    stored.close()
    assert by_verdict == {name: first.verdicts[name] + second.verdicts[name] for name in by_verdict}
    assert f"crops {first.crops + second.crops}, unreadable 0" in consumer.said


def test_without_a_broker_everything_waits(tmp_path: Path) -> None:
    played = play(tmp_path / "outbox.sqlite3", free_port())
    assert played.waiting == len(pieces()) + played.crops + BEGUN


def test_a_day_that_is_stopped_keeps_what_it_has_told(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    played = play(tmp_path / "outbox.sqlite3", free_port(), stop=stop)
    assert played == Played(first_sequence=1, last_sequence=0, waiting=BEGUN)


def test_a_disk_that_does_not_take_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Outbox, "_commit", broken)
    with pytest.raises(Exception, match="the disk is full"):
        play(tmp_path / "outbox.sqlite3", free_port())
