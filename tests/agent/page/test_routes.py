"""The page's server tells the truth of the board, to its own site alone, and names what is in its way."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import cv2
import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.clock import ManualClock
from agent.page.assets import ASSETS, STATIC
from agent.page.server import PageError, PageServer
from agent.page.sessions.gate import OWN_HEADER
from agent.status.board import Board
from agent.status.metrics import Metrics
from tests import plain_http
from tests.agent.status.samples import THRESHOLD, part, streaming_board, verdict


@pytest.fixture
def board() -> Board:
    return streaming_board(ManualClock())


@pytest.fixture
def client(board: Board) -> Iterator[httpx.Client]:
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0)
    server.start()
    with plain_http.Client(base_url=server.url, timeout=60) as client:
        yield client
    server.stop()


def fill(board: Board) -> None:
    seen = part(3)
    for number in range(3):
        board.judged(verdict(number, first_line=number * 300), seen.image)
    failed = verdict(3, "fail", normalized=160, boxes=(seen.box,), part_id="P-7")
    board.judged(failed, seen.image)
    board.rejected(
        failed, image=seen.image, restored=seen.restored, evidence=seen.evidence, threshold=THRESHOLD
    )


def test_the_state_has_what_the_page_shows(client: httpx.Client, board: Board) -> None:
    fill(board)
    state = client.get("/api/state").json()
    assert state["schema"] == "plumbline.page/1"
    assert state["station"] == "cell3-cam1"
    assert state["health"] == {"state": "running", "reasons": []}
    assert state["verdicts"] == {"pass": 3, "fail": 1, "undecided": 0, "skipped": 0}
    assert state["reject_ratio"] == 0.25
    assert state["model"]["engine"] == "openvino-bf16"
    assert state["model"]["provisional_rate"] is None
    assert state["latency_ms"]["capture_to_recorded"] == {"count": 4, "p50": 15.0, "p99": 15.0}
    assert state["broker"]["words"] == "Broker connected; nothing waits in the outbox"
    (camera,) = state["cameras"]
    assert [frame["frame_id"] for frame in camera["strip"]] == [3, 2, 1, 0]
    assert camera["strip"][0]["boxes"] == [list(part(3).box)]
    (reject,) = state["rejects"]
    assert (reject["part_id"], reject["score"]["normalized"]) == ("P-7", 160)


def test_every_picture_the_state_names_is_a_jpeg_of_the_frame(client: httpx.Client, board: Board) -> None:
    fill(board)
    state = client.get("/api/state").json()
    addresses = [state["rejects"][0][view] for view in ("input", "restored", "heat")]
    addresses += [frame["image"] for frame in state["cameras"][0]["strip"]]
    for address in addresses:
        answer = client.get(address)
        assert answer.headers["content-type"] == "image/jpeg"
        picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.shape[:2] == (300, 300)


def test_a_page_that_only_asks_for_the_state_costs_no_encoding(client: httpx.Client, board: Board) -> None:
    fill(board)
    client.get("/api/state")
    snapshot = board.snapshot()
    assert not snapshot.rejects[0].input.encoded
    assert not any(frame.picture and frame.picture.encoded for frame in snapshot.cameras[0].strip)


@pytest.mark.parametrize(
    "address",
    [
        "/api/rejects/nobody/input.jpg",
        "/api/rejects/0192-top-3/secret.jpg",
        "/api/strip/top/99.jpg",
        "/api/strip/top/-1.jpg",
        f"/api/strip/top/{'9' * 5000}.jpg",
        "/api/strip/..%2f..%2f/0.jpg",
        "/../page.py",
        "/page.html",
    ],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, board: Board, address: str) -> None:
    fill(board)
    client.get("/api/state")
    assert client.get(address).status_code == 404


def test_a_reject_without_restoration_or_evidence_has_no_such_picture(
    client: httpx.Client, board: Board
) -> None:
    undecided = verdict(9, "undecided", reason="no_evidence")
    board.rejected(undecided, image=part(1).image, restored=None, evidence=None, threshold=THRESHOLD)
    (reject,) = client.get("/api/state").json()["rejects"]
    assert (reject["restored"], reject["heat"]) == (None, None)
    assert client.get("/api/rejects/0192-top-9/heat.jpg").status_code == 404


def test_health_is_200_when_running_and_503_with_the_reason_when_not(
    client: httpx.Client, board: Board
) -> None:
    assert client.get("/healthz").status_code == 200
    board.link_state("lost", "refused")
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["state"] == "degraded"
    assert "Broker not reachable" in answer.json()["reasons"][0]


def test_skipped_frames_are_told_by_health_and_state(client: httpx.Client, board: Board) -> None:
    for number in range(100):
        board.judged(verdict(number, "pass" if number == 0 else "skipped", reason="overload"), None)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    why = "queue full, the machine is too slow"
    words = f"Camera top: 99 % of the frames of the last minute were not judged: {why}"
    assert answer.json() == {"state": "degraded", "reasons": [words]}
    state = client.get("/api/state").json()
    assert state["last_minute"] == {"judged": 1, "unjudged": {"overload": 99}, "judged_ratio": 0.01}
    assert state["cameras"][0]["last_minute"] == state["last_minute"]


def test_metrics_are_prometheus_text(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "plumbline_frames" in names


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example:8080", "", "10.0.0.7", "[::2]:80", "localhost.."),
        *("localhost:80@evil.example", "[::1]evil.example", "[::1", "localhost:evil", "localhost:80:80"),
    ],
)
def test_on_loopback_a_foreign_host_name_is_refused(client: httpx.Client, host: str) -> None:
    for path in ("/", "/api/state", "/metrics"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "open the page as http://127.0.0.1" in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8080", "localhost.:80"]
)
def test_loopback_names_are_served_on_any_port_so_that_a_tunnel_works(
    client: httpx.Client, host: str
) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_page_bound_for_the_plant_answers_to_the_names_it_has_there(board: Board) -> None:
    server = PageServer(board, Metrics(), host="0.0.0.0", port=0, anonymous=True)
    server.start()
    try:
        address = f"http://127.0.0.1:{server.port}/"
        answer = plain_http.get(address, headers={"Host": "cell3.plant"}, timeout=60)
        assert answer.status_code == 200
    finally:
        server.stop()


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "0.0.0.0"])
def test_names_that_are_set_are_served_beside_the_machines_own_and_no_others(
    board: Board, bound_to: str
) -> None:
    names = ("MES.plant.example", "[fd00::7]")
    server = PageServer(board, Metrics(), host=bound_to, port=0, allowed_hosts=names, anonymous=True)
    server.start()
    try:
        with plain_http.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
            for host in ("mes.plant.example", "mes.plant.EXAMPLE:8443", "[FD00::7]:80", "localhost"):
                assert client.get("/api/state", headers={"Host": host}).status_code == 200, host
            for host in ("plant.example", "a.mes.plant.example", "mes.plant.example.evil", "[fd00::8]", "*"):
                answer = client.get(
                    "/api/state", headers={"Host": host, "X-Forwarded-Host": "mes.plant.example"}
                )
                assert answer.status_code == 421, host
                assert "page.allowed_hosts" in answer.text
    finally:
        server.stop()


def test_every_address_is_relative_so_that_a_proxy_may_put_the_page_below_a_path(
    client: httpx.Client, board: Board
) -> None:
    fill(board)
    state = client.get("/api/state").json()
    told = [state["rejects"][0][view] for view in ("input", "restored", "heat")]
    told += [frame["image"] for frame in state["cameras"][0]["strip"]]
    assert not any(address.startswith(("/", "http")) for address in told)
    for name in ("page.html", "page.js", "page.css"):
        absolute = r"""(?:href|src|fetch)\s*[=(]\s*["'`]/|url\(["']?/"""
        assert not re.search(absolute, (STATIC / name).read_text()), name


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/state", "/healthz", "/metrics", "/nothing"])
def test_every_answer_forbids_foreign_content_framing_and_caching(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_page_is_read_only(client: httpx.Client, method: str) -> None:
    assert client.request(method, "/api/state").status_code == 403
    assert client.request(method, "/api/state", headers={OWN_HEADER: "1"}).status_code == 405


def test_the_shipped_files_name_no_other_site() -> None:
    for name, _ in ASSETS.values():
        text = (STATIC / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), name


def test_a_port_in_use_is_named_with_the_remedy(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PageError, match=rf"127\.0\.0\.1:{port} .*set page\.port"):
            PageServer(board, Metrics(), host="127.0.0.1", port=port).start()


def test_an_unknown_host_is_named_with_the_remedy(board: Board) -> None:
    with pytest.raises(PageError, match=r"'no host' is not known .*page\.host"):
        PageServer(board, Metrics(), host="no host", port=0).start()


def test_a_stopped_page_frees_its_port_for_the_next_one(board: Board) -> None:
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0)
    server.start()
    with plain_http.Client(base_url=server.url, timeout=60) as client:
        assert client.get("/healthz").status_code == 200
        server.stop()
    again = PageServer(board, Metrics(), host="127.0.0.1", port=server.port)
    again.start()
    again.stop()
    server.stop()


def test_health_and_state_are_small_enough_to_poll(client: httpx.Client, board: Board) -> None:
    for number in range(200):
        board.judged(verdict(number, "fail", boxes=((1, 2, 3, 4),) * 4), np.zeros((8, 8), np.uint8))
        board.rejected(
            verdict(number, "fail", boxes=((1, 2, 3, 4),) * 4),
            image=np.zeros((8, 8), np.uint8),
            restored=None,
            evidence=None,
            threshold=THRESHOLD,
        )
    assert len(json.dumps(client.get("/api/state").json())) < 64_000
