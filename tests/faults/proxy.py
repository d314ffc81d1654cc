"""A TCP proxy between a station and its broker that misbehaves on cue.

Bytes are never reordered, changed or lost inside a connection that lives. `blackhole` keeps all
connections, accepts new ones and holds back whatever they send until `heal`. Not covered: loss and
reordering of packets, which TCP hides, and a slow name service.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.brokers import HOST, free_port

CHUNK_BYTES = 16 * 1024
CHUNKS_HELD = 64  # in each direction; more is left in the kernel, as a full link leaves it
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
CUE_TIMEOUT_S = 60.0

_Result = TypeVar("_Result")


class FaultProxy:
    """Listens on `port` from `start` on; its cues may be called from any thread."""

    def __init__(self, upstream_port: int) -> None:
        self.port = free_port()
        self._upstream_port = upstream_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._gate = asyncio.Event()  # open: bytes pass
        self._gate.set()
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._links: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()
        self._cue(self._listen())

    def stop(self) -> None:
        self._cue(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CUE_TIMEOUT_S)
        self._loop.close()

    def delay(self, seconds: float) -> None:
        """Every byte arrives so much later, in both directions."""
        self._delay_s = seconds

    def throttle(self, bytes_per_s: float) -> None:
        """Each connection passes no more than this, in each direction."""
        self._bytes_per_s = bytes_per_s

    def blackhole(self) -> None:
        self._cue(self._shut())

    def reset(self) -> None:
        """Both ends of every connection get a TCP reset; new ones are accepted."""
        self._cue(self._reset())

    def refuse(self) -> None:
        """Reset what is connected and do not listen any more."""
        self._cue(self._deafen())
        self.reset()

    def heal(self) -> None:
        """As if nothing had been: listening, open, fast."""
        self._delay_s, self._bytes_per_s = 0.0, None
        self._cue(self._open())

    def _cue(self, action: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(CUE_TIMEOUT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, HOST, self.port)

    async def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _shut(self) -> None:
        self._gate.clear()

    async def _open(self) -> None:
        self._gate.set()
        if self._server is None:
            await self._listen()

    async def _reset(self) -> None:
        for writer in list(self._writers):
            end = writer.get_extra_info("socket")
            if end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()

    async def _close(self) -> None:
        await self._deafen()
        await self._reset()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self._writers.add(writer)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):  # a refused upstream; the end of the proxy
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._links.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions, until both have ended."""
        up_reader, up_writer = await asyncio.open_connection(HOST, self._upstream_port)
        self._writers.add(up_writer)
        try:
            await asyncio.gather(self._carry(reader, up_writer), self._carry(up_reader, writer))
        finally:
            up_writer.transport.abort()
            self._writers.discard(up_writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction; reading goes on while what was read waits for its time."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_HELD)
        taking = asyncio.ensure_future(self._take(reader, held))
        try:
            await self._give(held, writer)
        except OSError:  # the other end has gone, so nobody wants the rest
            pass
        finally:
            taking.cancel()
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"?"
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:  # a reset is an end like any other
                chunk = b""
            await held.put((self._loop.time() + self._delay_s, chunk))

    async def _give(self, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due_s, chunk = await held.get()
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            await self._gate.wait()
            if not chunk:
                return
            if self._bytes_per_s is not None:
                await asyncio.sleep(len(chunk) / self._bytes_per_s)
            writer.write(chunk)
            await writer.drain()
