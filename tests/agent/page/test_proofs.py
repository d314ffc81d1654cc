"""The page has the last proofs and their pictures, and nothing else from their folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.clock import ManualClock
from agent.page.server import PageServer
from agent.page.sources import Behind
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.remote.proof.shadowed import Station, write_grey
from tests.agent.status.samples import streaming_board


@pytest.fixture
def station(tmp_path: Path) -> Station:
    write_grey(tmp_path / "serves")
    station = Station(folder=tmp_path)
    station.keep()
    return station


@pytest.fixture
def client(station: Station) -> Iterator[httpx.Client]:
    board = streaming_board(ManualClock())
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0, behind=Behind(proofs=station.proofs))
    server.start()
    with plain_http.Client(base_url=server.url, timeout=60) as client:
        yield client
    server.stop()


def test_before_the_first_proof_there_is_none(client: httpx.Client) -> None:
    assert client.get("/api/proofs").json() == {"schema": "plumbline.proofs/1", "proofs": []}


def test_a_proof_is_told_with_addresses_of_its_pictures(client: httpx.Client, station: Station) -> None:
    found = station.prove_here(write_grey(station.folder / "candidate", threshold=0.4))
    (told,) = client.get("/api/proofs").json()["proofs"]
    assert told["candidate"]["sha256"] == found.candidate.sha256
    assert told["flips"]["to_fail"] == 1 and "1 of 8 verdicts flip" in told["refused"]
    pictures = told["worst"][0]["pictures"]
    assert list(pictures) == ["original", "incumbent", "candidate"]
    for address in pictures.values():
        answer = client.get(f"/{address}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.content.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    "address",
    ["{sha256}/proof.json", "{sha256}/9-original.jpg", "{sha256}/..%2fproof.json", "mine/1-original.jpg"],
)
def test_nothing_else_of_the_folder_is_served(client: httpx.Client, station: Station, address: str) -> None:
    found = station.prove_here(write_grey(station.folder / "candidate", threshold=0.4))
    (station.proofs / "mine").mkdir()
    (station.proofs / "mine" / "1-original.jpg").write_bytes(b"mine")
    answer = client.get(f"/api/proofs/{address.format(sha256=found.candidate.sha256)}")
    assert answer.status_code == 404


def test_a_damaged_document_hides_its_proof_alone(client: httpx.Client, station: Station) -> None:
    first = station.prove_here(write_grey(station.folder / "first", counter=2))
    second = station.prove_here(write_grey(station.folder / "second", counter=3))
    (station.proofs / first.candidate.sha256 / "proof.json").write_text("{")
    (told,) = client.get("/api/proofs").json()["proofs"]
    assert told["candidate"]["sha256"] == second.candidate.sha256
