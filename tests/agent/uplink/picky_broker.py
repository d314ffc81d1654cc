"""A small broker of MQTT 5 and 3.1.1 that refuses, hangs up upon, or sends whatever a test wants."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.agent.uplink.raw_server import RawServer, RawTalk
from tests.brokers import HOST, free_port

PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ = 3, 8, 10, 12
PIECE_S = 0.01  # so that they do not arrive as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """What a CONNECT asks for."""

    level: int
    clean: bool
    will: bool
    will_qos: int
    will_retain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    topic: str
    qos: int
    retain: bool


class PickyBroker(RawServer):
    """Takes everything that it is not told to refuse."""

    def __init__(self, *, properties: bytes = b"") -> None:
        self.port = free_port()
        super().__init__((HOST, self.port), _Conversation)
        self.properties = properties  # of CONNACK
        self.connects: list[Connect] = []
        self.published: list[Published] = []
        self.filters: list[str] = []
        self.accepts: Callable[[Connect], int | None] = lambda connect: 0  # the reason code; None hangs up
        self.hangs_up_on: Callable[[str], bool] = lambda topic: False  # a publication or subscription
        self.grants: Callable[[str], int] = lambda filter_: 1
        self.after_subscribe: Callable[[], bytes] = lambda: b""  # what is sent with SUBACK
        self.pieces: Callable[[bytes], Sequence[bytes]] = lambda sent: [sent]  # in which both are sent


class _Conversation(RawTalk):
    server: PickyBroker

    def talk(self) -> None:
        while head := self.rfile.read(1):
            body = self.rfile.read(self._length())
            if not self._answer(head[0], body):
                return

    def _answer(self, head: int, body: bytes) -> bool:
        match head >> 4:
            case 1:
                return self._connect(body)
            case 3:
                return self._publish(head, body)
            case 8:
                return self._subscribe(body)
            case 10:
                self._send(0xB0, body[:2] + (b"\0\x11" if self.level == 5 else b""))
            case 12:
                self._send(0xD0, b"")
            case 14:
                return False
        return True

    def _connect(self, body: bytes) -> bool:
        self.level, flags = body[6], body[7]
        connect = Connect(
            level=self.level,
            clean=bool(flags & 2),
            will=bool(flags & 4),
            will_qos=flags >> 3 & 3,
            will_retain=bool(flags & 0x20),
        )
        self.server.connects.append(connect)
        code = self.server.accepts(connect)
        if code is None:
            return False
        properties = self.server.properties
        more = bytes([len(properties)]) + properties if self.level == 5 else b""
        self._send(0x20, bytes([0, code]) + more)
        return code == 0

    def _publish(self, head: int, body: bytes) -> bool:
        (size,) = struct.unpack_from("!H", body)
        topic, qos = body[2 : 2 + size].decode(), head >> 1 & 3
        if self.server.hangs_up_on(topic):
            return False
        self.server.published.append(Published(topic=topic, qos=qos, retain=bool(head & 1)))
        if qos:
            self._send(0x40, body[2 + size : 4 + size])
        return True

    def _subscribe(self, body: bytes) -> bool:
        at = 2 + (1 + body[2] if self.level == 5 else 0)
        granted = bytearray()
        while at < len(body):
            (size,) = struct.unpack_from("!H", body, at)
            wanted = body[at + 2 : at + 2 + size].decode()
            if self.server.hangs_up_on(wanted):
                return False
            self.server.filters.append(wanted)
            granted.append(self.server.grants(wanted))
            at += 3 + size
        suback = _packet(0x90, body[:2] + (b"\0" if self.level == 5 else b"") + bytes(granted))
        for piece in self.server.pieces(suback + self.server.after_subscribe()):
            self.wfile.write(piece)
            time.sleep(PIECE_S)
        return True

    def _send(self, head: int, body: bytes) -> None:
        self.wfile.write(_packet(head, body))

    def _length(self) -> int:
        length, shift = 0, 0
        while (byte := self.rfile.read(1)[0]) & 0x80:
            length |= (byte & 0x7F) << shift
            shift += 7
        return length | byte << shift


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head, len(body)]) + body
