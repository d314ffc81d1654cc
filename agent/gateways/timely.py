"""HTTP answers that must be whole by a deadline, however slowly they are dripped.

A socket's own timeout begins anew with each byte, so a receiver that sends one now and then, or
"100 Continue" for ever, would hold its sender without end.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any


class TimelyResponse(http.client.HTTPResponse):
    """Raises TimeoutError when its reading, from the first byte of the status on, outlasts the timeout."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Timely(self.fp.detach(), sock))


class _Timely(io.RawIOBase):
    def __init__(self, stream: Any, sock: socket.socket) -> None:
        super().__init__()
        self._stream = stream
        self._sock = sock
        self._timeout_s = sock.gettimeout()
        self._deadline_s = time.monotonic() + (self._timeout_s or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._timeout_s is None:
            return int(self._stream.readinto(buffer))
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer was not whole in time")
        self._sock.settimeout(left_s)
        try:
            return int(self._stream.readinto(buffer))
        finally:
            self._sock.settimeout(self._timeout_s)

    def close(self) -> None:
        self._stream.close()
        super().close()
