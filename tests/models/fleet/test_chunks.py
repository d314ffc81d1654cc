"""Pieces are served of bundles that are whole, to whoever asks properly, and of nothing else."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTMessageInfo

from agent.bundle.bundle import SIGNATURE
from agent.contract.chunks import Chunk, ChunkRefusal, ChunkRequest, read_answer
from agent.contract.inbound import Inbound
from agent.contract.payloads import encode
from agent.contract.topics import Delivery
from models.fleet import chunks
from models.fleet.chunks import ON_WAY, ChunkServer, Shelf
from tests.agent.remote.transport.goods import MORE, sizes, target_of, write_goods

STATION = "plumbline/v1/s/a/l/st"


@dataclass
class Sent:
    """A connection whose messages leave when `leave` is called."""

    maximum_packet_bytes: int | None = None
    published: list[tuple[str, bytes]] = field(default_factory=list)
    infos: list[MQTTMessageInfo] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, delivery: Delivery, content_type: str) -> MQTTMessageInfo:
        self.published.append((topic, payload))
        self.infos.append(MQTTMessageInfo(1))
        return self.infos[-1]

    def leave(self) -> None:
        for info in self.infos:
            info._published = True

    def last(self) -> tuple[Chunk | ChunkRefusal, bytes]:
        answer = read_answer(self.published[-1][1])
        assert answer is not None
        return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    write_goods(tmp_path / "shelf" / "one", 5000)
    return tmp_path / "shelf"


@pytest.fixture
def server(folder: Path) -> ChunkServer:
    return ChunkServer(Shelf(folder))


def ask(bundle: Path | str, file: str, offset: int = 0, count: int = 1000) -> Inbound:
    sha256 = bundle if isinstance(bundle, str) else target_of(bundle).sha256
    request = ChunkRequest(request="0" * 16, bundle=sha256, file=file, offset=offset, count=count)
    return Inbound(topic=f"{STATION}/bundle/get", payload=encode(request), retained=False)


def test_a_piece_goes_to_the_station_that_asked(server: ChunkServer, folder: Path) -> None:
    way = Sent()
    server.hear(ask(folder / "one", MORE, 4500), way)
    content = (folder / "one" / MORE).read_bytes()
    head, piece = way.last()
    assert way.published[0][0] == f"{STATION}/bundle/data"
    assert isinstance(head, Chunk)
    assert (piece, head.offset, head.size_bytes) == (content[4500:], 4500, 5000)
    assert head.sha256 == hashlib.sha256(piece).hexdigest()
    assert head.fin == hashlib.sha256(content).hexdigest()
    server.hear(ask(folder / "one", MORE, 100), way)
    assert way.last()[0] == head.model_copy(
        update={"offset": 100, "sha256": hashlib.sha256(content[100:1100]).hexdigest(), "fin": None}
    )


def test_the_end_of_a_file_can_be_asked_for_again_and_again(server: ChunkServer, folder: Path) -> None:
    way = Sent()
    for _ in range(2):
        server.hear(ask(folder / "one", MORE, 5000), way)
        head, piece = way.last()
        assert isinstance(head, Chunk) and piece == b"" and head.fin is not None


def test_a_plumb_file_and_a_bundle_that_came_later_are_served(server: ChunkServer, folder: Path) -> None:
    way = Sent()
    server.hear(ask(folder / "one", "signature"), way)
    assert way.last()[1] == b"{}"
    write_goods(folder.parent / "two", 10, counter=2)
    with zipfile.ZipFile(folder / "two.plumb", "w") as packed:
        for name in sizes(folder.parent / "two"):
            packed.write(folder.parent / "two" / name, name)
    server.hear(ask(folder.parent / "two", MORE), way)
    assert way.last()[1] == (folder.parent / "two" / MORE).read_bytes()


@pytest.mark.parametrize("file", ["../one/model.onnx", "/etc/passwd", "stranger", "weights", "golden"])
def test_what_the_manifest_does_not_name_is_not_served(server: ChunkServer, folder: Path, file: str) -> None:
    (folder / "one" / "stranger").write_bytes(b"?")
    way = Sent()
    server.hear(ask(folder / "one", file), way)
    head, _ = way.last()
    assert isinstance(head, ChunkRefusal) and head.code == 404


def test_what_is_damaged_is_not_served(server: ChunkServer, folder: Path) -> None:
    (folder / "one" / MORE).write_bytes(bytes(5000))
    way = Sent()
    server.hear(ask(folder / "one", MORE), way)
    head, _ = way.last()
    assert isinstance(head, ChunkRefusal) and head.code == 404


@pytest.mark.parametrize(("bundle", "offset", "code"), [("0" * 64, 0, 404), (None, 5001, 416)])
def test_why_there_is_no_such_piece_is_told(
    server: ChunkServer, folder: Path, bundle: str | None, offset: int, code: int
) -> None:
    way = Sent()
    server.hear(ask(bundle or folder / "one", MORE, offset), way)
    head, _ = way.last()
    assert isinstance(head, ChunkRefusal) and head.code == code


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"null", b"[]", b'{"schema":"plumbline.chunk-request/1"}', bytes(300_000)]
)
def test_what_is_no_request_gets_no_answer(server: ChunkServer, payload: bytes) -> None:
    way = Sent()
    server.hear(Inbound(topic=f"{STATION}/bundle/get", payload=payload, retained=False), way)
    assert way.published == []


def test_who_asks_while_much_waits_is_told_to_ask_again(server: ChunkServer, folder: Path) -> None:
    way = Sent()
    for _ in range(ON_WAY):
        server.hear(ask(folder / "one", MORE), way)
        assert isinstance(way.last()[0], Chunk)
    server.hear(ask(folder / "one", MORE), way)
    head, _ = way.last()
    assert isinstance(head, ChunkRefusal) and head.code == 429
    way.leave()
    server.hear(ask(folder / "one", MORE), way)
    assert isinstance(way.last()[0], Chunk)
    again = Sent()  # another connection has nothing waiting
    server.hear(ask(folder / "one", MORE), again)
    assert isinstance(again.last()[0], Chunk)


def test_a_flood_of_requests_is_answered_no_more_than_what_may_wait(
    server: ChunkServer, folder: Path
) -> None:
    way = Sent()
    for _ in range(10 * ON_WAY):
        server.hear(ask(folder / "one", MORE, count=100), way)
    assert len(way.published) <= 2 * ON_WAY


def test_no_more_is_kept_in_memory_than_is_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "KEPT_BYTES", 6000)
    shelf = Shelf(folder)
    sha256 = target_of(folder / "one").sha256
    for name in [*sizes(folder / "one"), MORE]:
        assert shelf.content(sha256, name) == (folder / "one" / name).read_bytes()
    assert sum(map(len, shelf._kept.values())) <= 6000


def test_a_folder_that_is_away_has_no_bundles(folder: Path) -> None:
    assert Shelf(folder / "away").content("0" * 64, "manifest.yaml") is None


def test_of_two_with_one_manifest_the_signed_one_is_served(folder: Path) -> None:
    for twin in ("a", "z"):
        shutil.copytree(folder / "one", folder / twin)
        (folder / twin / SIGNATURE).unlink(missing_ok=True)
    (folder / "one" / SIGNATURE).write_bytes(b"signed")
    assert Shelf(folder).content(target_of(folder / "one").sha256, SIGNATURE) == b"signed"
