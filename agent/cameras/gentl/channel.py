"""Messages between the agent and a camera's driver process: JSON lines over a socket pair, and file handles.

A line that arrives whole also orders memory: what one side wrote to shared memory before it sent the
line is there for the side that has read it, on any processor.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

CHUNK_BYTES = 65_536


class Gone(Exception):
    """The other side has closed or died."""


class Channel:
    """One end; used by one thread that receives and one that sends."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unread = b""
        self._handles: list[int] = []

    def send(self, message: dict[str, Any], handle: int | None = None) -> None:
        """Raises Gone; `handle` is a file handle that the other side gets a duplicate of."""
        line = json.dumps(message).encode() + b"\n"
        try:
            if handle is not None:
                sent = socket.send_fds(self._end, [line], [handle])
                line = line[sent:]
            self._end.sendall(line)
        except OSError as error:
            raise Gone from error

    def receive(self, timeout_s: float | None) -> dict[str, Any] | None:
        """The next message, or None within the timeout; raises Gone when there will be none."""
        while b"\n" not in self._unread:
            try:
                self._end.settimeout(timeout_s)
                data, handles, _, _ = socket.recv_fds(self._end, CHUNK_BYTES, 1)
            except TimeoutError:
                return None
            except OSError as error:
                raise Gone from error
            self._handles += handles
            if not data:
                raise Gone
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def take_handle(self) -> int:
        """The file handle that came with a message; the caller closes it."""
        return self._handles.pop(0)

    def close(self) -> None:
        self._end.close()
        for handle in self._handles:
            os.close(handle)
        self._handles = []
