"""What answers CONNECT with bytes of the test's choice, and hangs up or stays silent."""

from __future__ import annotations

from collections.abc import Callable

from tests.agent.uplink.raw_server import RawServer, RawTalk
from tests.brokers import HOST, free_port

CONNACK_5 = bytes([0x20, 3, 0, 0, 0])
CONNACK_311 = bytes([0x20, 2, 0, 0])


class BadBroker(RawServer):
    """`answers` is asked with the number of the connection, from 1."""

    def __init__(self, answers: Callable[[int], bytes], *, stays: bool = False) -> None:
        self.answers = answers
        self.stays = stays
        self.connections = 0
        self.port = free_port()
        super().__init__((HOST, self.port), _Conversation)


class _Conversation(RawTalk):
    server: BadBroker

    def talk(self) -> None:
        self.server.connections += 1
        answer = self.server.answers(self.server.connections)
        self.request.recv(4096)  # CONNECT
        self.request.sendall(answer)
        while self.server.stays and self.request.recv(4096):
            pass
