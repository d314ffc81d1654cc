"""A receiver that drips its answer holds a gateway for `timeout_s`, and no longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.clock import SystemClock
from agent.gateways.gateway import GatewayError
from agent.gateways.webhook import WebhookSink
from agent.settings.gateways import WebhookGateway
from tests.agent.gateways.records import verdict, waiting

TIMEOUT_S = 0.3
PACE_S = 0.05

DRIPS = {
    "the status": (b"", b"HTTP/1.1 200 OK\r\n" + b"\r\n" * 100),
    "no status at all": (b"", b"H" * 400),
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 400),
    "header after header": (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100),
    "the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n", b"x" * 4000),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500),
    "the end of the connection": (b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 4000),
}


@contextmanager
def dripping(head: bytes, drops: bytes, *, pace_s: float, at_once: int) -> Iterator[str]:
    """The address of a server that sends `drops` slowly behind `head`, to whoever connects."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.recv(65536)
            peer.sendall(head)
            for start in range(0, len(drops), at_once):
                if ended.wait(pace_s):
                    return
                peer.sendall(drops[start : start + at_once])
            ended.wait()

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def refused_after_s(url: str) -> float:
    sink = WebhookSink(WebhookGateway.model_validate({"url": url, "timeout_s": TIMEOUT_S}), SystemClock())
    sink.open()
    started_s = time.monotonic()
    with pytest.raises(GatewayError, match="no answer in time; check url, network and timeout_s"):
        sink.deliver(waiting([verdict(1)]))
    sink.close()
    return time.monotonic() - started_s


@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_that_drips_is_no_answer_in_time(what: str) -> None:
    head, drops = DRIPS[what]
    with dripping(head, drops, pace_s=PACE_S, at_once=1) as url:
        assert TIMEOUT_S * 0.9 < refused_after_s(url) < 2.0


def test_to_continue_for_ever_is_no_answer() -> None:
    with dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, pace_s=0.001, at_once=25) as url:
        assert refused_after_s(url) < 2.0


def test_a_slow_answer_within_the_time_is_taken_and_the_next_has_its_time_again() -> None:
    timeout_s, pace_s, answers = 3.0, 0.55, 3  # a loaded machine may add nearly 2 s to each
    assert 2 * pace_s < timeout_s < answers * 2 * pace_s, "together they take longer than one may"
    with dripping(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"Content-Length: 0\r\n\r\n", pace_s=pace_s, at_once=11
    ) as url:
        sink = WebhookSink(WebhookGateway.model_validate({"url": url, "timeout_s": timeout_s}), SystemClock())
        sink.open()
        for number in range(1, answers + 1):
            sink.deliver(waiting([verdict(number)]))
        sink.close()
