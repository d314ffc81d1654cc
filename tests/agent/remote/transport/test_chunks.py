"""A bundle comes through the broker in pieces, whatever becomes of some of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.contract.chunks import MAX_CHUNK_BYTES, Chunk, encode_chunk, read_answer
from agent.remote.transport import pull
from agent.remote.transport.source import Stopped
from agent.remote.transport.taking import NotFetched
from agent.uplink.mqtt.link import MqttLink
from models.fleet.chunks import ChunkServer, Shelf
from tests.agent.outbox.rows import TOPICS
from tests.agent.remote.transport.goods import (
    MORE,
    Wanting,
    broker_source,
    folder_source,
    same,
    target_of,
    write_goods,
)
from tests.agent.remote.transport.office import Wire, serving
from tests.agent.uplink.links import Impatient, status
from tests.agent.uplink.stations import hears, mqtt
from tests.brokers import Mosquitto, eventually

SIZE = 1_234_567


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    write_goods(tmp_path / "shelf" / "one", SIZE)
    return tmp_path / "shelf"


@pytest.fixture
def wire(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(pull, "ANSWER_S", 0.05)
    monkeypatch.setattr(pull, "BUSY_S", 0.02)
    monkeypatch.setattr(pull, "SILENCE_S", 1.0)
    return Wire(server=ChunkServer(Shelf(shelf)))


@pytest.fixture
def wanting(wire: Wire, tmp_path: Path) -> Wanting:
    return Wanting(folder=tmp_path / "bundles", link=wire)


def test_it_comes_in_pieces(wanting: Wanting, wire: Wire, shelf: Path) -> None:
    wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")
    assert wire.asked == 5 + -(-SIZE // MAX_CHUNK_BYTES)


def forged(payload: bytes, **others: object) -> bytes:
    found = read_answer(payload)
    assert found is not None and isinstance(found[0], Chunk)
    return encode_chunk(found[0].model_copy(update=others), found[1])


@pytest.mark.parametrize(
    "bend",
    [
        lambda payload, rng: [payload] * rng.randint(0, 2),  # lost, or twice
        lambda payload, rng: [payload[: rng.randrange(len(payload))], payload],  # cut off
        lambda payload, rng: [forged(payload, request="0" * 16), payload],
        lambda payload, rng: [forged(payload, offset=7), payload],
        lambda payload, rng: [forged(payload, file="model.onnx", bundle="0" * 64), payload],
        lambda payload, rng: [payload[:-1] + bytes([payload[-1] ^ 1]), payload],  # of another digest
        lambda payload, rng: [payload + b"more", payload],
        lambda payload, rng: [rng.randbytes(rng.randrange(3000)), b"", b"\n", b"{}\n", payload],
    ],
)
def test_what_is_wrong_with_some_answers_costs_time_only(
    wanting: Wanting, wire: Wire, shelf: Path, bend: Callable[[bytes, random.Random], list[bytes]]
) -> None:
    rng = random.Random(5)
    wire.bend = lambda payload: bend(payload, rng)
    wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")


def test_pieces_may_come_out_of_order_and_late(wanting: Wanting, wire: Wire, shelf: Path) -> None:
    kept: list[bytes] = []
    rng = random.Random(3)

    def shuffled(payload: bytes) -> list[bytes]:
        kept.append(payload)
        rng.shuffle(kept)
        return [kept.pop() for _ in range(rng.randint(0, len(kept)))]

    wire.bend = shuffled
    wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")


def test_pieces_get_smaller_where_large_ones_do_not_come_through(
    wanting: Wanting, wire: Wire, shelf: Path
) -> None:
    wire.bend = lambda payload: [payload] if len(payload) < 30_000 else []
    wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")


def test_pieces_fit_into_the_largest_packet_that_the_broker_takes(
    wanting: Wanting, wire: Wire, shelf: Path
) -> None:
    lengths: list[int] = []

    def measured(payload: bytes) -> list[bytes]:
        lengths.append(len(payload))
        return [payload]

    wire.bend, wire.maximum_packet_bytes = measured, 20_000
    wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")
    assert max(lengths) < 20_000


def test_a_server_that_has_too_much_to_send_is_asked_again(wanting: Wanting, wire: Wire, shelf: Path) -> None:
    wire.is_slow = True  # so that after 64 answers nobody gets one

    def meanwhile(payload: bytes) -> list[bytes]:
        if b'"code":429' in payload:
            wire.is_slow = False
            wire.server = ChunkServer(Shelf(shelf))
        return [payload]

    wire.bend, wire.maximum_packet_bytes = meanwhile, 12_000
    wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")


def test_nobody_who_answers_is_a_source_that_may_come_back(wanting: Wanting, wire: Wire, shelf: Path) -> None:
    wire.is_up = lambda: bool(wanting.troubles())
    wanting.fetch(target_of(shelf / "one"), broker_source(), time_left_s=30.0)
    assert wanting.troubles() == ["the broker: no answer within 1 s"]
    assert same(wanting.depot.candidate, shelf / "one")


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (lambda one: shutil.rmtree(one), 404, "no such bundle here"),
        (lambda one: (one / MORE).unlink(), 404, "no such file in it"),
        (lambda one: (one / MORE).write_bytes(bytes(SIZE)), 404, "no such file in it"),  # it is not served
    ],
)
def test_what_the_server_has_not_got_is_told(
    wanting: Wanting, shelf: Path, spoil: Callable[[Path], None], code: int, told: str
) -> None:
    target = target_of(shelf / "one")
    spoil(shelf / "one")
    with pytest.raises(NotFetched, match=told) as caught:
        wanting.fetch(target, broker_source())
    assert caught.value.code == code


def test_more_than_was_announced_is_not_taken(wanting: Wanting, shelf: Path) -> None:
    target = target_of(shelf / "one")
    less = target.model_copy(update={"size_bytes": target.size_bytes - 1})
    with pytest.raises(NotFetched, match="may come") as caught:
        wanting.fetch(less, broker_source())
    assert caught.value.code == 413


def test_a_station_that_hears_nobody_goes_to_the_next_source(tmp_path: Path, shelf: Path) -> None:
    wanting = Wanting(folder=tmp_path / "bundles")
    with pytest.raises(NotFetched, match="takes no documents from it"):
        wanting.fetch(target_of(shelf / "one"), broker_source())
    wanting.fetch(target_of(shelf / "one"), broker_source(), folder_source(shelf / "one"))


@pytest.fixture(params=["5", "3.1.1"])
def link(mosquitto: Mosquitto, request: pytest.FixtureRequest) -> Iterator[MqttLink]:
    one = MqttLink(
        mqtt(mosquitto.port, request.param),
        topics=TOPICS,
        last_will=status("offline"),
        clock=SystemClock(),
        rng=Impatient(1),
        turn_away=lambda *_: None,
        documents=TOPICS.documents([]),
    )
    one.start()
    eventually(lambda: hears(one), "the station is connected")
    yield one
    one.stop(status("stopped"))


def test_it_comes_through_a_real_broker(
    mosquitto: Mosquitto, link: MqttLink, shelf: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    wanting = Wanting(folder=tmp_path / "bundles", link=link)
    protocol = link.state.protocol
    assert protocol is not None
    with serving(shelf, mqtt(mosquitto.port, protocol), protocol):
        wanting.fetch(target_of(shelf / "one"), broker_source())
    assert same(wanting.depot.candidate, shelf / "one")


def test_it_goes_on_where_it_was_when_the_office_and_the_broker_come_back(
    mosquitto: Mosquitto, link: MqttLink, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The office goes first, half way; then the broker, later on."""
    monkeypatch.setattr(pull, "ANSWER_S", 0.2)
    monkeypatch.setattr(pull, "SILENCE_S", 2.0)
    write_goods(shelf / "two", 6_000_000)
    wanting = Wanting(folder=tmp_path / "bundles", link=link)
    offices = [serving(shelf, mqtt(mosquitto.port, "5"), "5")]
    offices[0].__enter__()
    done: list[int] = []

    def harm(progress: object) -> None:
        size = wanting.told[-1].bytes_done.get(MORE, 0)
        if len(done) == 0 and size > 1_000_000:
            offices[0].__exit__(None, None, None)
            offices.append(serving(shelf, mqtt(mosquitto.port, "5"), "5"))
            offices[1].__enter__()
            done.append(size)
        elif len(done) == 1 and size > 3_000_000:
            mosquitto.kill()
            offices[1].__exit__(None, None, None)
            mosquitto.start()
            offices.append(serving(shelf, mqtt(mosquitto.port, "5"), "5"))
            offices[2].__enter__()
            done.append(size)

    monkeypatch.setattr("agent.remote.transport.fetch.TELL_S", 0.0)
    wanting.heed = harm
    wanting.fetch(target_of(shelf / "two"), broker_source())
    offices[-1].__exit__(None, None, None)
    assert len(done) == 2
    assert same(wanting.depot.candidate, shelf / "two")
    sizes = [one.bytes_done.get(MORE, 0) for one in wanting.told]
    assert sizes == sorted(sizes)  # nothing was taken twice


def test_who_wants_to_stop_is_heard_while_nobody_answers(wanting: Wanting, wire: Wire, shelf: Path) -> None:
    wire.bend = lambda payload: []
    wanting.is_cancelled = lambda: wire.asked > 1
    with pytest.raises(Stopped):
        wanting.fetch(target_of(shelf / "one"), broker_source())
