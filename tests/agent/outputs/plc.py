"""PLCs in software: a real Modbus server and a real OPC UA server, whose gates know when they moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from asyncua import Server, ua
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.gateways.loop import LoopThread
from tests.brokers import HOST, free_port

COILS = 64
CALL_S = 300.0  # a starved machine takes minutes to lay out an address space


@dataclass(slots=True)
class ModbusPlc:
    """COILS coils, but those in `lacks`. While it hangs it answers nothing; `stop` is a power cut."""

    port: int = field(default_factory=free_port)
    lacks: frozenset[int] = frozenset()
    moved: list[tuple[int, int, bool]] = field(default_factory=list)  # when in ns, coil, level
    now_ns: Callable[[], int] = time.monotonic_ns
    answers_after_s: float = 0.0
    _hangs: asyncio.Event | None = None
    _loop: LoopThread | None = None
    _server: _Server | None = None

    def start(self) -> None:
        self._loop = LoopThread("plc")
        self._loop.start()
        self._server = self._loop.call(self._serve(), CALL_S)

    def stop(self) -> None:
        assert self._loop is not None and self._server is not None
        self.goes_on()
        self._loop.call(self._server.shut(), CALL_S)
        self._loop.stop()
        self._loop = self._server = None

    def hang(self) -> None:
        self._hangs = asyncio.Event()

    def goes_on(self) -> None:
        hangs, self._hangs = self._hangs, None
        if hangs is not None and self._loop is not None:
            self._loop.call(_set(hangs), CALL_S)

    def levels(self, coil: int) -> list[bool]:
        return [level for _, one, level in self.moved if one == coil]

    async def _serve(self) -> _Server:
        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        none = [SimData(0, values=[0], datatype=DataType.REGISTERS)]
        device = SimDevice(id=0, simdata=(bits, bits, none, none), action=self._asked)
        server = _Server(device, address=(HOST, self.port))
        await server.serve_forever(background=True)
        return server

    async def _asked(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if self._hangs is not None:
            await self._hangs.wait()
        if self.answers_after_s:
            await asyncio.sleep(self.answers_after_s)
        if address in self.lacks:
            return ExcCodes.ILLEGAL_ADDRESS
        if set_values is not None:
            for place, level in enumerate(set_values):
                self.moved.append((self.now_ns(), address + place, bool(level)))
        return None


class _Server(ModbusTcpServer):
    """Knows its connections, also those whose request still hangs."""

    def callback_new_connection(self) -> ServerRequestHandler:
        handler = super().callback_new_connection()
        self.handlers: list[ServerRequestHandler] = [*getattr(self, "handlers", ()), handler]
        return handler

    async def shut(self) -> None:
        """With its connections: those that begin are made, and closed, in the loop's next turns."""
        await _turns()
        transports = [one.transport for one in getattr(self, "handlers", ()) if one.transport is not None]
        await self.shutdown()  # type: ignore[no-untyped-call]
        for transport in transports:
            transport.abort()  # type: ignore[union-attr]
        await _turns()


async def _turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def _set(event: asyncio.Event) -> None:
    event.set()


@dataclass(slots=True)
class OpcUaPlc:
    """Gate and Heartbeat, Booleans that may be written, and Label, which is text; nothing is encrypted."""

    port: int = field(default_factory=free_port)
    moved: list[tuple[int, str, bool]] = field(default_factory=list)
    _loop: LoopThread | None = None
    _server: Server | None = None

    @property
    def url(self) -> str:
        return f"opc.tcp://{HOST}:{self.port}/plc"

    def start(self) -> None:
        self._loop = LoopThread("plc")
        self._loop.start()
        self._loop.call(self._serve(), CALL_S)

    def stop(self) -> None:
        assert self._loop is not None and self._server is not None
        self._loop.call(self._server.stop(), CALL_S)
        self._loop.stop()
        self._loop = self._server = None

    def levels(self, name: str) -> list[bool]:
        return [level for _, one, level in self.moved if one == name]

    async def _serve(self) -> None:
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        cell = await server.nodes.objects.add_folder(ua.NodeId("Cell", 2), "2:Cell")
        for name in ("Gate", "Heartbeat"):
            node = await cell.add_variable(ua.NodeId(f"Cell.{name}", 2), f"2:{name}", False)
            await node.set_writable()
            server.iserver.aspace.add_datachange_callback(
                node.nodeid, ua.AttributeIds.Value, self._noted(name)
            )
        await cell.add_variable(ua.NodeId("Cell.Label", 2), "2:Label", "text")
        await server.start()
        self._server = server

    def _noted(self, name: str):  # type: ignore[no-untyped-def]
        async def note(handle: int, value: ua.DataValue) -> None:
            self.moved.append((time.monotonic_ns(), name, bool(value.Value.Value)))

        return note
