"""Whoever holds connections to the page, a local probe gets its answer and descriptors stay few."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SystemClock
from agent.page.connections import Limits, Visit, overdue, who_leaves
from agent.page.server import PageServer
from agent.status.board import Board
from agent.status.metrics import Metrics
from agent.status.snapshot import Serving
from tests import plain_http
from tests.agent.status.samples import THRESHOLD, verdict
from tests.brokers import DEADLINE_S, eventually
from tests.lived import living

LIMITS = Limits(connections=6, backlog=16, ask_s=0.4, answer_s=1.0, hurry_s=0.2)

VISITS = st.builds(
    Visit,
    address=st.sampled_from(["a", "b", "c"]),
    since_s=st.integers(0, 10).map(float),
    asking=st.booleans(),
    unread=st.sampled_from([lambda: 0, lambda: 9]),
)


@given(st.lists(VISITS, max_size=12))
def test_whose_answer_is_being_made_stays_while_others_let_us_wait(visits: list[Visit]) -> None:
    leaves = who_leaves(visits, LIMITS, 10.0)
    waited_for = [visit for visit in visits if visit.asking or visit.unread()]
    if waited_for:
        held = Counter(visit.address for visit in visits)
        most = max(held[visit.address] for visit in waited_for)
        assert leaves in waited_for
        assert leaves.since_s == min(one.since_s for one in waited_for if held[one.address] == most)
    else:
        assert (leaves is None) is all(10.0 - visit.since_s <= LIMITS.hurry_s for visit in visits)


@given(VISITS, st.floats(0, 20))
def test_an_answer_may_take_longer_than_a_question(visit: Visit, later_s: float) -> None:
    limit_s = LIMITS.ask_s if visit.is_idle else LIMITS.answer_s
    assert overdue(visit, LIMITS, visit.since_s + later_s) is (
        visit.since_s + later_s - visit.since_s > limit_s
    )


@pytest.fixture
def board() -> Board:
    board = Board(
        station="cell3-cam1",
        version="0.1.0",
        clock=SystemClock(),
        serving=lambda: Serving(engine="e", bundle="b", bundle_sha256="ab" * 32, threshold=THRESHOLD),
    )
    board.camera_state("top", "streaming")
    board.link_state("connected")
    return board


@pytest.fixture
def server(board: Board) -> Iterator[PageServer]:
    server = PageServer(board, Metrics(), host="127.0.0.1", port=0, limits=LIMITS)
    server.start()
    yield server
    server.stop()


@contextmanager
def crowd(
    port: int, count: int, say: bytes, receive_bytes: int | None = None
) -> Iterator[list[socket.socket]]:
    """Connections that say so much and then nothing; those that are refused are left out."""
    with ExitStack() as stack:
        guests = []
        for _ in range(count):
            guest = stack.enter_context(socket.socket())
            if receive_bytes is not None:
                guest.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            guest.settimeout(DEADLINE_S)
            try:
                guest.connect(("127.0.0.1", port))
                guest.sendall(say)
            except OSError:
                continue
            guests.append(guest)
        yield guests


def healthy(server: PageServer) -> bool:
    """Asked as a probe does, which may ask again: here it comes from the address of the crowd."""
    for attempt in range(3):
        try:
            answer = plain_http.get(f"{server.url}healthz", timeout=DEADLINE_S)
        except httpx.TransportError:
            if attempt == 2:
                raise
        else:
            return answer.status_code == 200
    return False


def ended(guest: socket.socket) -> bool:
    """Until the other side closes, by whichever way."""
    try:
        while guest.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.slow
@pytest.mark.parametrize(
    "say",
    [
        b"",
        b"G",
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: a",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\nx",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["nothing", "a byte", "a line", "half a head", "half a body", "kept alive", "TLS"],
)
def test_a_crowd_that_holds_connections_keeps_nobody_out_and_is_sent_away(
    server: PageServer, say: bytes
) -> None:
    with crowd(server.port, 4 * LIMITS.connections, say) as guests:
        for _ in range(5):
            assert healthy(server)
        assert all(ended(guest) for guest in guests)
    assert healthy(server)


def test_a_head_that_comes_byte_by_byte_is_cut_short(server: PageServer) -> None:
    with (
        crowd(server.port, 1, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") as (guest,),
        living() as patience,
        pytest.raises(ConnectionError),
    ):
        while patience.seconds < 10:
            guest.sendall(b"a")
            time.sleep(0.05)
    assert server.turned_away == 1


@pytest.mark.slow
def test_readers_that_do_not_read_are_sent_away(board: Board, server: PageServer) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1600, 1600, 3), np.uint8)
    board.rejected(verdict(1, "fail"), image=noise, restored=None, evidence=None, threshold=THRESHOLD)
    (reject,) = plain_http.get(f"{server.url}api/state", timeout=DEADLINE_S).json()["rejects"]
    picture = plain_http.get(f"{server.url}{reject['input']}", timeout=DEADLINE_S)
    assert len(picture.content) > 1_000_000
    say = f"GET /{reject['input']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 20
    with crowd(server.port, 2 * LIMITS.connections, say, receive_bytes=4096) as guests:
        assert healthy(server)
        eventually(lambda: server.turned_away >= len(guests), "all are sent away")
    assert healthy(server)


def test_pages_that_ask_again_and_again_are_all_served_though_they_are_more_than_the_budget(
    server: PageServer,
) -> None:
    failed: list[Exception] = []

    def look() -> None:
        with plain_http.Client(base_url=server.url, timeout=DEADLINE_S) as client:
            for _ in range(10):
                until = time.monotonic() + DEADLINE_S
                while True:  # as pages do that find their kept connection closed
                    try:
                        assert client.get("/api/state").status_code == 200
                        break
                    except httpx.TransportError as error:
                        if time.monotonic() > until:
                            failed.append(error)
                            break
                    time.sleep(0.01)
                time.sleep(0.01)

    pages = [threading.Thread(target=look) for _ in range(LIMITS.connections + 4)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert not failed


def test_a_page_with_a_crowd_stops_at_once(server: PageServer) -> None:
    with crowd(server.port, LIMITS.connections, b"GET / HTTP/1.1\r\n"):
        with living() as stopping:
            server.stop()
        assert stopping.seconds < 3
