"""A TCP server for a `with`: when it ends, every conversation has been cut and its socket is closed."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import Any

from typing_extensions import Self


class RawServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False  # server_close waits for them

    def __init__(self, address: tuple[str, int], talk: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(address, talk)
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._serving = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._serving.join()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._open.discard(request)


class RawTalk(socketserver.StreamRequestHandler):
    """One conversation; it ends without a word where the other side has had enough."""

    def handle(self) -> None:
        with suppress(OSError, IndexError):
            self.talk()

    def talk(self) -> None:
        raise NotImplementedError
