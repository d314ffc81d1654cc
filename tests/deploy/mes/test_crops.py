"""A folder of crops that fails is named and ends the consumer; verdicts are stored all the same."""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from agent.schemas import examples
from consumer import Consumer
from contract import ConsumerError
from crops import Crop, keep, open_folder
from store import Database
from tests.brokers import DEADLINE_S, Mosquitto, eventually
from tests.deploy.mes.told import TOPIC, Process, Publisher, holds, verdict

IMAGE = b"\xff\xd8 a picture" * 1000


def make_full(folder: Path) -> None:
    """Its disk has room for names and none for bytes."""
    (folder / "ballast").write_bytes(bytes(256 * 1024 - 4096))
    with pytest.raises(OSError, match="No space left"), (folder / "rest").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def make_vanish(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def make_a_file(folder: Path) -> None:
    make_vanish(folder)
    folder.write_text("something else")


def make_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def make_a_folder_of_the_crop(folder: Path) -> None:
    """Something else has the picture's name."""
    for name in ("jpg", "part"):
        (folder / f"{crop().name.removesuffix('jpg')}{name}").mkdir()


def crop() -> Crop:
    return Crop(f"{hashlib.sha256(IMAGE).hexdigest()}.jpg", IMAGE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


ON_ANY_DISK = [make_vanish, make_a_file, make_a_folder_of_the_crop]
ON_A_SMALL_DISK = [make_full, make_read_only]


@pytest.mark.parametrize("harm", ON_ANY_DISK)
def test_a_folder_that_fails_is_named(tmp_path: Path, harm: object) -> None:
    folder = tmp_path / "crops"
    open_folder(folder)
    harm(folder)  # type: ignore[operator]
    with pytest.raises(ConsumerError, match=f"--crops {folder}: "):
        keep(folder, crop())
    assert not (folder / crop().name).is_file()


@pytest.mark.parametrize("harm", ON_A_SMALL_DISK)
def test_a_disk_that_fails_is_named_and_nothing_torn_stays(small_disk: Path, harm: object) -> None:
    open_folder(small_disk)
    harm(small_disk)  # type: ignore[operator]
    before = sorted(small_disk.iterdir())
    with pytest.raises(ConsumerError, match=f"--crops {small_disk}: "):
        keep(small_disk, crop())
    assert sorted(small_disk.iterdir()) == before


def test_a_folder_that_cannot_be_made_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (
        tmp_path / "file",
        tmp_path / "not" / "mounted",
        tmp_path / "file" / "below",
        Path("/proc/x"),
    ):
        with pytest.raises(ConsumerError, match=f"--crops {folder}: "):
            open_folder(folder)
        assert not (tmp_path / "not").exists()


def test_a_folder_without_leave_to_write_is_named_at_the_start(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write anywhere")
    folder = tmp_path / "crops"
    folder.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ConsumerError, match="let this user write there"):
        open_folder(folder)


def test_a_picture_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    (tmp_path / crop().name).write_bytes(IMAGE[:100])
    keep(tmp_path, crop())
    assert (tmp_path / crop().name).read_bytes() == IMAGE


@pytest.fixture
def station(mosquitto: Mosquitto) -> Iterator[Publisher]:
    publisher = Publisher(mosquitto.port)
    yield publisher
    publisher.stop()


@pytest.mark.parametrize("harm", [make_vanish, make_a_file, make_full])
def test_a_consumer_whose_folder_fails_ends_with_2_and_takes_up_where_it_was(
    tmp_path: Path, mosquitto: Mosquitto, station: Publisher, request: pytest.FixtureRequest, harm: object
) -> None:
    on_a_small_disk = harm in ON_A_SMALL_DISK
    folder = request.getfixturevalue("small_disk") if on_a_small_disk else tmp_path / "crops"
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port, "--crops", folder)
    consumer.start()
    harm(folder)  # type: ignore[operator]
    station.crop(IMAGE)
    assert consumer.ended() == 2
    words = consumer.said.splitlines()[-1]
    assert words.startswith(f"consumer: --crops {folder}: ") and "broker" not in words
    for left in (folder / "ballast", folder / "rest", folder):
        if left.is_file():
            left.unlink()
    consumer.start()
    station.send(TOPIC, verdict(1))
    with closing(sqlite3.connect(tmp_path / "mes.sqlite3")) as stored:
        holds(stored, 1)
    eventually((folder / crop().name).exists, "the crop that was not acknowledged comes again")
    assert consumer.stop() == 0


class Acknowledged:
    """A client that notes what is acknowledged, and publishes nothing."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def ack(self, mid: int, qos: int) -> None:
        self.ids.append(mid)


def test_a_crop_whose_disk_is_full_stops_no_verdict_that_came_with_it_and_is_not_acknowledged(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    make_a_folder_of_the_crop(folder)
    database = Database(f"sqlite:///{tmp_path}/mes.sqlite3")
    consumer = Consumer(argparse.Namespace(crops=folder, confirm=False), database)
    topics = [(examples.TOPICS.crop("top"), IMAGE), (TOPIC, verdict(1)), (TOPIC, b"no"), (TOPIC, verdict(2))]
    messages = []
    for mid, (topic, payload) in enumerate(topics, 1):
        message = paho.MQTTMessage(mid, topic.encode())
        message.payload, message.qos = payload, 1
        messages.append(message)
    client = Acknowledged()
    consumer.take(messages)
    with pytest.raises(ConsumerError, match="--crops"):
        consumer.settle(client)  # type: ignore[arg-type]
    assert client.ids == [2, 3, 4]
    assert [(one.first, one.last) for one in database.islands()] == [(1, 2)]
    database.close()


def test_a_log_on_a_full_disk_stops_no_verdict_and_a_report_on_one_is_no_success(
    tmp_path: Path, mosquitto: Mosquitto, station: Publisher
) -> None:
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port)
    consumer.start()
    station.send(TOPIC, verdict(1))
    with closing(sqlite3.connect(tmp_path / "mes.sqlite3")) as stored:
        holds(stored, 1)
        assert consumer.stop() == 0
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            running = consumer.begin("run", stderr=full)
            station.send(TOPIC, b"not a verdict", verdict(2))
            holds(stored, 2)
            running.terminate()
            running.communicate(timeout=DEADLINE_S)
            looking = consumer.begin("gaps", stdout=full)
            _, words = looking.communicate(timeout=DEADLINE_S)
    assert (running.returncode, looking.returncode) == (0, 2)
    assert words == "consumer: the report cannot be written: No space left on device\n"
