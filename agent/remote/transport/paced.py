"""Reading from a socket with a lower bound on its rate, an upper bound on its bytes, and an ear for the end.

A peer that sends a byte now and then, in headers or in the body, is lost after a window; one that sends
without end is cut off.
"""

from __future__ import annotations

import io
import socket
from typing import Any

from agent.clock import Clock
from agent.remote.transport.source import Cancelled, Lost, Stopped, Unfit

WINDOW_S = 20.0
LEAST_BYTES = 20 * 1024  # in each window
SLICE_S = 0.2
BUFFER_BYTES = 64 * 1024


class Paced(io.RawIOBase):
    """The raw stream below a buffered one. Reading raises Lost, Unfit, Stopped and OSError."""

    def __init__(
        self, connection: socket.socket, *, most_bytes: int, clock: Clock, cancelled: Cancelled
    ) -> None:
        self._connection = connection
        self._most_bytes = most_bytes
        self._clock = clock
        self._cancelled = cancelled
        self._bytes = 0
        self._since_ns = clock.monotonic_ns()
        self._in_window = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while True:
            if self._cancelled():
                raise Stopped("cancelled")
            self._look_at_rate()
            try:
                size = self._connection.recv_into(buffer)
            except TimeoutError:  # of a slice
                continue
            self._bytes += size
            self._in_window += size
            if self._bytes > self._most_bytes:
                raise Unfit(f"sends more than {self._most_bytes} bytes", 413)
            return size

    def _look_at_rate(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._since_ns < WINDOW_S * 1e9:
            return
        if self._in_window < LEAST_BYTES:
            raise Lost(f"sent {self._in_window} bytes in {WINDOW_S:.0f} s")
        self._since_ns, self._in_window = now_ns, 0


class PacedSocket:
    """What http.client needs of a socket; `close` leaves it open, for whoever made it."""

    def __init__(self, connection: socket.socket, paced: Paced) -> None:
        self._connection = connection
        self._paced = paced

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._paced, BUFFER_BYTES)

    def sendall(self, data: bytes) -> None:
        self._connection.sendall(data)

    def close(self) -> None:
        pass
