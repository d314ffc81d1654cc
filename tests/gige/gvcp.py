"""The control protocol of GigE Vision, server side: one command in, one acknowledgement out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PORT = 3956
KEY = 0x42
ACKNOWLEDGE = 0x01  # flag: an answer is asked for
DISCOVERY, RESEND, READ_REGISTER, WRITE_REGISTER, READ_MEMORY, WRITE_MEMORY = 2, 0x40, 0x80, 0x82, 0x84, 0x86
ACCESS_DENIED, NOT_IMPLEMENTED = 0x8006, 0x8001
DISCOVERY_BYTES = 0xF8

Address = tuple[str, int]


class Device(Protocol):
    """What the protocol asks of a camera."""

    def may_write(self, client: Address) -> bool: ...

    def read_register(self, address: int) -> int: ...

    def write_register(self, address: int, value: int, client: Address) -> None: ...

    def read_memory(self, address: int, size: int) -> bytes: ...

    def write_memory(self, address: int, data: bytes) -> None: ...

    def resend(self, block_id: int, first: int, last: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Command:
    kind: int
    flags: int
    request_id: int
    body: bytes


def parse(datagram: bytes) -> Command | None:
    """None for what is no command."""
    if len(datagram) < 8 or datagram[0] != KEY:
        return None
    _, flags, kind, size, request_id = struct.unpack_from(">BBHHH", datagram)
    return Command(kind, flags, request_id, datagram[8 : 8 + size])


def answer(command: Command, client: Address, device: Device) -> bytes | None:
    """Do what is asked; the acknowledgement, None where there is none."""
    if command.kind == RESEND:
        _, block_id, first, last = struct.unpack(">HHII", command.body[:12])
        device.resend(block_id, first & 0xFFFFFF, last & 0xFFFFFF)
        return None
    serve = _SERVED.get(command.kind)
    status, body = (NOT_IMPLEMENTED, b"") if serve is None else serve(command.body, client, device)
    if not command.flags & ACKNOWLEDGE and command.kind != DISCOVERY:
        return None
    return struct.pack(">HHHH", status, command.kind + 1, len(body), command.request_id) + body


def _discover(_body: bytes, _client: Address, device: Device) -> tuple[int, bytes]:
    return 0, device.read_memory(0, DISCOVERY_BYTES)


def _read_registers(body: bytes, _client: Address, device: Device) -> tuple[int, bytes]:
    addresses = struct.unpack(f">{len(body) // 4}I", body)
    return 0, b"".join(struct.pack(">I", device.read_register(address)) for address in addresses)


def _write_registers(body: bytes, client: Address, device: Device) -> tuple[int, bytes]:
    written = 0
    for address, value in struct.iter_unpack(">II", body):
        if not device.may_write(client):
            return ACCESS_DENIED, struct.pack(">HH", 0, written)
        device.write_register(address, value, client)
        written += 1
    return 0, struct.pack(">HH", 0, written)


def _read_memory(body: bytes, _client: Address, device: Device) -> tuple[int, bytes]:
    address, _, size = struct.unpack(">IHH", body[:8])
    return 0, struct.pack(">I", address) + device.read_memory(address, size)


def _write_memory(body: bytes, client: Address, device: Device) -> tuple[int, bytes]:
    (address,), data = struct.unpack(">I", body[:4]), body[4:]
    if not device.may_write(client):
        return ACCESS_DENIED, struct.pack(">HH", 0, 0)
    if len(data) == 4:
        device.write_register(address, struct.unpack(">I", data)[0], client)
    else:
        device.write_memory(address, data)
    return 0, struct.pack(">HH", 0, len(data))


_SERVED: dict[int, Callable[[bytes, Address, Device], tuple[int, bytes]]] = {
    DISCOVERY: _discover,
    READ_REGISTER: _read_registers,
    WRITE_REGISTER: _write_registers,
    READ_MEMORY: _read_memory,
    WRITE_MEMORY: _write_memory,
}
