"""Events into systemd's journal with their fields: systemd.io/JOURNAL_NATIVE_PROTOCOL.

One datagram for each event: `NAME=value` in a line, or for a value of several lines its name, its length
and itself. A long value is cut, so that no event needs the protocol's way for large ones.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from agent.foreign import shown

SOCKET = "/run/systemd/journal/socket"
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
VALUE_BYTES = 16 * 1024  # of a value; a socket takes some 200 KB at a time
NAME_BYTES = 64  # more the journal does not take

_UNNAMED = re.compile(r"[^A-Z0-9_]")
_PLAIN = re.compile(r"[^\s\"'=]+")
_to_json = structlog.processors.JSONRenderer()


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether systemd reads `stream` into the journal: it names device and inode of what it gave us."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # it is none of the system's
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class ToJournal:
    """The last processor of structlog: sends the event, and leaves nothing to be written.

    Where the journal's socket is absent or refuses, the event is a line of JSON for standard error, with its
    priority before it as systemd reads it there. Where nobody reads the socket the event is lost, and
    counted: standard error is the same journal, and a line must not wait for it.
    """

    def __init__(self, unsaid: Collection[str], path: str) -> None:
        """Fields of `unsaid` do not stand in the message: they are the same in each."""
        self._unsaid = unsaid
        self._path = path
        self.lost = 0  # events, since the start

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        """The line where it could not be sent; raises structlog.DropEvent where it was."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(datagram(fields(event, self._unsaid)), self._path)
        except BlockingIOError:
            self.lost += 1
            raise structlog.DropEvent from None
        except OSError:
            return f"<{_priority(event)}>{_to_json(logger, method, event)!s}"
        raise structlog.DropEvent


def fields(event: Mapping[str, Any], unsaid: Collection[str] = ()) -> dict[str, str]:
    """The journal's fields of an event; the time is the journal's own."""
    ours = {name: _text(value) for name, value in event.items() if name not in ("level", "timestamp")}
    return {
        "MESSAGE": _message({name: text for name, text in ours.items() if name not in unsaid}),
        "PRIORITY": str(_priority(event)),
        "SYSLOG_IDENTIFIER": "plumbline",
        **{_name(name): text for name, text in ours.items()},
    }


def datagram(told: Mapping[str, str]) -> bytes:
    """As the journal reads it."""
    return b"".join(_field(name.encode(), _cut(value)) for name, value in told.items())


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name + b"=" + value + b"\n"


def _cut(text: str) -> bytes:
    value = text.encode(errors="replace")
    if len(value) <= VALUE_BYTES:
        return value
    return value[:VALUE_BYTES].decode(errors="ignore").encode() + b"..."


def _name(name: str) -> str:
    return f"PLUMBLINE_{_UNNAMED.sub('_', name.upper())}"[:NAME_BYTES]


def _message(ours: Mapping[str, str]) -> str:
    """The event, what belongs to it, and below it the trace of an exception."""
    told = [ours.get("event", "")]
    for name, text in ours.items():
        if name not in ("event", "exception"):
            word = shown(text)
            told.append(f"{name}={word}" if _PLAIN.fullmatch(word) else f'{name}="{word}"')
    trace = [shown(line) for line in ours.get("exception", "").splitlines()]
    return "\n".join((" ".join(told), *trace))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _priority(event: Mapping[str, Any]) -> int:
    return PRIORITIES.get(str(event.get("level")), PRIORITIES["error"])
