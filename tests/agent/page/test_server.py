"""The page's server ends with nothing left open, whatever its readers do."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from agent.page.server import Server
from tests.brokers import HOST, eventually

LARGE = bytes(20_000_000)  # more than both ends' buffers take


async def large(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LARGE})


def test_a_reader_who_does_not_read_is_cut_when_the_server_ends() -> None:
    listener = socket.create_server((HOST, 0))
    server = Server(
        uvicorn.Config(large, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    with socket.create_connection(listener.getsockname()) as reader:
        reader.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        eventually(lambda: bool(server.server_state.connections), "a connection")
        server.should_exit = True
        thread.join()
        assert server.server_state.connections == set()
    gc.collect()  # an open transport would say so, and end the test
