"""What answers CONNECT with bytes of the test's choice, and hangs up or stays silent."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable

from tests.brokers import HOST, free_port

CONNACK_5 = bytes([0x20, 3, 0, 0, 0])
CONNACK_311 = bytes([0x20, 2, 0, 0])


class BadBroker(socketserver.ThreadingTCPServer):
    """Listens within a `with`; `answers` is asked with the number of the connection, from 1."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answers: Callable[[int], bytes], *, stays: bool = False) -> None:
        self.answers = answers
        self.stays = stays
        self.connections = 0
        self.port = free_port()
        super().__init__((HOST, self.port), _Conversation)

    def __enter__(self) -> BadBroker:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Conversation(socketserver.BaseRequestHandler):
    server: BadBroker

    def handle(self) -> None:
        self.server.connections += 1
        answer = self.server.answers(self.server.connections)
        try:
            self.request.recv(4096)  # CONNECT
            self.request.sendall(answer)
            while self.server.stays and self.request.recv(4096):
                pass
        except OSError:
            return  # the link has had enough
