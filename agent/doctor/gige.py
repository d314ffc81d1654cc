"""What a GigE Vision camera answers to two questions that everybody may ask, without controlling it."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

PORT = 3956
WAIT_S, TRIES = 0.5, 3
_KEY, _ANSWER_WANTED = 0x42, 0x01
_DISCOVERY, _READ_REGISTER = 0x02, 0x80
_CONTROL = 0x0A00  # register that says whether somebody controls it
_DENIED = 0x8006  # to read it while somebody has it for himself alone
_ASKED = 0x504C
_MODEL, _SERIAL = slice(104, 136), slice(216, 232)
_HEAD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A camera that is on."""

    model: str
    serial: str
    is_controlled: bool  # by some program, on this machine or on another one


def ask(address: str) -> Answered | None:
    """The camera at an IPv4 address; None where none answers. Raises OSError where there is no way there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(WAIT_S)
        asking.connect((address, PORT))
        found = _answer(asking, _DISCOVERY, b"")
        if found is None or len(found[1]) < _SERIAL.stop:
            return None
        control = _answer(asking, _READ_REGISTER, struct.pack(">I", _CONTROL))
    body = found[1]
    is_controlled = control is not None and (control[0] == _DENIED or any(control[1][:4]))
    return Answered(model=_text(body[_MODEL]), serial=_text(body[_SERIAL]), is_controlled=is_controlled)


def _answer(asking: socket.socket, kind: int, body: bytes) -> tuple[int, bytes] | None:
    """Status and body."""
    for _ in range(TRIES):
        try:
            asking.send(struct.pack(">BBHHH", _KEY, _ANSWER_WANTED, kind, len(body), _ASKED) + body)
            data = asking.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            continue
        if len(data) >= _HEAD:
            status, answered, size, number = struct.unpack_from(">HHHH", data)
            if answered == kind + 1 and number == _ASKED:
                return status, data[_HEAD : _HEAD + size]
    return None


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")
