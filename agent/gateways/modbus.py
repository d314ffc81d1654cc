"""Modbus TCP: the latest verdict of each camera in registers, read only but for `modbus_binding.py`.

Holding registers (function 3) and input registers (function 4) show the same; any unit id is
answered. Camera number n, in the order of the settings and from 0, starts at address 16 n (the
first register is address 0). Numbers of several registers are big-endian, the high word first.

| offset | what             | type    | meaning                                                      |
|--------|------------------|---------|--------------------------------------------------------------|
| 0      | layout           | uint16  | 1                                                            |
| 1      | heartbeat        | uint16  | grows at least once a second and wraps; when it stands still |
|        |                  |         | for 5 s, nothing here is true any more                       |
| 2      | flags            | 16 bits | bit 0 interlock: hold the line; bit 1 there is a result;     |
|        |                  |         | bit 2 is simulated; bit 3 is partial                         |
| 3      | verdict          | uint16  | 0 skipped or none, 1 pass, 2 fail, 3 undecided               |
| 4-5    | age              | uint32  | milliseconds from the verdict to the last heartbeat;         |
|        |                  |         | 4294967295: none                                             |
| 6-9    | sequence         | uint64  | of the verdict; 0: none                                      |
| 10-11  | score            | float32 | NaN: none                                                    |
| 12-13  | threshold        | float32 | NaN: none                                                    |
| 14     | defects          | uint16  | how many the verdict names                                   |
| 15     | reserved         | uint16  | 0                                                            |

Where the settings have part rules, rule number n, in their order, starts at address 512 + 16 n:

| offset | what             | type    | meaning                                                      |
|--------|------------------|---------|--------------------------------------------------------------|
| 0-9    | as above         |         | of the part verdict; its verdict is never 0 but for none     |
| 10     | cameras          | uint16  | how many see a part                                          |
| 11     | views            | uint16  | of how many this verdict has a view                          |
| 12     | failing          | 16 bits | whose view failed; bit n: camera n of the rule               |
| 13     | missing          | 16 bits | who has no view                                              |
| 14     | reason           | uint16  | 0 none, else its number in the list of part reasons, from 1  |
| 15     | reserved         | uint16  | 0                                                            |

Only verdict 1 is pass. A block read in one request is never a mixture of two results. Modbus has no
login and no encryption: whoever reaches the port reads it, and binds parts where settings say `binding`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import struct
from collections.abc import Callable, Mapping, Sequence

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.clock import Clock
from agent.contract.part import PART_REASONS, PartVerdict
from agent.contract.row import Waiting
from agent.contract.verdict import Verdict
from agent.gateways import modbus_binding
from agent.gateways.binding import Binder
from agent.gateways.gateway import GatewayError
from agent.gateways.latest import batch, created
from agent.gateways.loop import LoopThread
from agent.gateways.modbus_binding import BindingArea
from agent.settings.gateways import ModbusGateway

LAYOUT = 1
BLOCK_REGISTERS = 16
PARTS = 512  # where the blocks of part rules begin
INTERLOCK, HAS_RESULT, IS_SIMULATED, IS_PARTIAL = 1, 2, 4, 8
NO_AGE = 0xFFFF_FFFF
START_S = 10.0
CONNECTIONS = 32
COILS = (5, 15)  # functions that write single bits

_BLOCK = struct.Struct(">HHHHIQffHH")
_PART_BLOCK = struct.Struct(">HHHHIQHHHHHH")
_REASONS = {reason: number for number, reason in enumerate(PART_REASONS, start=1)}


def block(verdict: Verdict | None, *, heartbeat: int, interlock: bool, age_ms: int) -> tuple[int, ...]:
    """The registers of one camera, as in the table above."""
    flags = INTERLOCK * interlock
    if verdict is None:
        packed = _BLOCK.pack(LAYOUT, heartbeat & 0xFFFF, flags, 0, NO_AGE, 0, math.nan, math.nan, 0, 0)
    else:
        flags |= HAS_RESULT | IS_SIMULATED * verdict.is_simulated | IS_PARTIAL * verdict.is_partial
        packed = _BLOCK.pack(
            LAYOUT,
            heartbeat & 0xFFFF,
            flags,
            verdict.result_evaluation_code,
            min(max(age_ms, 0), NO_AGE - 1),
            verdict.sequence,
            math.nan if verdict.score is None else verdict.score.raw,
            math.nan if verdict.score is None else verdict.score.threshold,
            len(verdict.defects),
            0,
        )
    return struct.unpack(f">{BLOCK_REGISTERS}H", packed)


def part_block(
    part: PartVerdict | None, cameras: Sequence[str], *, heartbeat: int, interlock: bool, age_ms: int
) -> tuple[int, ...]:
    """The registers of one part rule, as in the table above."""
    flags = INTERLOCK * interlock
    if part is None:
        head = (LAYOUT, heartbeat & 0xFFFF, flags, 0, NO_AGE, 0)
        packed = _PART_BLOCK.pack(*head, len(cameras), 0, 0, 0, 0, 0)
    else:
        flags |= HAS_RESULT | IS_SIMULATED * part.is_simulated | IS_PARTIAL * part.is_partial
        age = min(max(age_ms, 0), NO_AGE - 1)
        failed = {view.camera for view in part.views if view.verdict == "fail"}
        packed = _PART_BLOCK.pack(
            *(LAYOUT, heartbeat & 0xFFFF, flags, part.result_evaluation_code, age, part.sequence),
            len(cameras),
            len(part.views),
            sum(1 << number for number, camera in enumerate(cameras) if camera in failed),
            sum(1 << number for number, camera in enumerate(cameras) if camera in part.missing),
            _REASONS.get(part.reason or "", 0),
            0,
        )
    return struct.unpack(f">{BLOCK_REGISTERS}H", packed)


class ModbusSink:
    """The server runs in its own thread and is shown what there is by one assignment."""

    rows_at_a_time = 64

    def __init__(
        self,
        settings: ModbusGateway,
        *,
        cameras: Sequence[str],
        rules: Mapping[str, Sequence[str]],
        clock: Clock,
        interlock: Callable[[], bool],
        bind: Binder,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._interlock = interlock
        self._area = BindingArea(cameras, bind, clock) if settings.binding else None
        self._heartbeat = 0
        self._verdicts: dict[str, Verdict | None] = dict.fromkeys(cameras)
        self._rules = dict(rules)
        self._parts: dict[str, PartVerdict | None] = dict.fromkeys(rules)
        self._registers: tuple[int, ...] = ()
        self._part_registers: tuple[int, ...] = ()
        self._loop: LoopThread | None = None
        self._server: ModbusTcpServer | None = None

    def open(self) -> None:
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what clients do wrong is no event of ours
        self._show()
        self._loop = LoopThread("modbus")
        self._loop.start()
        try:
            self._server = self._loop.call(self._serve(), START_S)
        except (OSError, RuntimeError) as error:
            place = f"{self._settings.host}:{self._settings.port}"
            raise GatewayError(
                f"{place}: cannot listen there; check host, that port is free and above 1023 for a plain user"
            ) from error

    def deliver(self, rows: Sequence[Waiting]) -> None:
        found = batch(rows)
        self._verdicts.update(
            {name: one for name, one in found.of_cameras().items() if name in self._verdicts}
        )
        self._parts.update({rule: one for rule, one in found.of_rules().items() if rule in self._parts})
        self._heartbeat += 1
        self._show()
        if found.refusal is not None:
            raise found.refusal

    def close(self) -> None:
        if self._loop is None:
            return
        if self._server is not None:
            with contextlib.suppress(OSError):  # what does not stop ends with its loop
                self._loop.call(self._server.shutdown(), START_S)  # type: ignore[no-untyped-call]
        self._loop.stop()
        self._loop = self._server = None

    def _show(self) -> None:
        now = self._clock.utc_now()
        interlock = self._interlock()

        def age_ms(one: Verdict | PartVerdict | None) -> int:
            return 0 if one is None else round((now - created(one)).total_seconds() * 1000)

        registers: list[int] = []
        for verdict in self._verdicts.values():
            age = age_ms(verdict)
            registers += block(verdict, heartbeat=self._heartbeat, interlock=interlock, age_ms=age)
        of_parts: list[int] = []
        for rule, part in self._parts.items():
            cameras, age = self._rules[rule], age_ms(part)
            of_parts += part_block(part, cameras, heartbeat=self._heartbeat, interlock=interlock, age_ms=age)
        self._registers, self._part_registers = tuple(registers), tuple(of_parts)

    async def _serve(self) -> ModbusTcpServer:
        data = [SimData(0, values=list(self._registers), datatype=DataType.REGISTERS, readonly=True)]
        if self._part_registers:
            values = list(self._part_registers)
            data.append(SimData(PARTS, values=values, datatype=DataType.REGISTERS, readonly=True))
        if self._area is not None:
            fresh = self._area.fresh()
            said, written = fresh[: modbus_binding.READ_ONLY], fresh[modbus_binding.READ_ONLY :]
            place = modbus_binding.AREA
            data.append(SimData(place, values=said, datatype=DataType.REGISTERS, readonly=True))
            data.append(SimData(place + len(said), values=written, datatype=DataType.REGISTERS))
        device = SimDevice(id=0, simdata=data, action=self._refresh)
        server = _Server(device, address=(self._settings.host, self._settings.port))
        await server.serve_forever(background=True)
        return server

    async def _refresh(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Before each answer, in the server's thread: what stands there now, all of it at once."""
        current_registers[: len(self._registers)] = self._registers
        if of_parts := self._part_registers:
            current_registers[PARTS : PARTS + len(of_parts)] = of_parts
        if set_values is None or self._area is None:
            return None
        if function_code in COILS:
            return ExcCodes.ILLEGAL_FUNCTION
        place = modbus_binding.AREA
        block = current_registers[place : place + modbus_binding.REGISTERS]
        answer = self._area.wrote(block, address - place, [int(one) for one in set_values])
        if answer is not None:
            current_registers[place + 1 : place + modbus_binding.READ_ONLY] = answer
        return None


class _Handler(ServerRequestHandler):
    """One client's connection, which remembers whether it ever asked, and when it was last heard."""

    has_asked = False
    heard_s = 0.0

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        self.has_asked, self.heard_s = True, self.loop.time()
        return int(super().callback_data(data, addr))


class _Server(ModbusTcpServer):
    """With room for CONNECTIONS: for a newcomer goes who never asked, else who has not asked for longest.

    Descriptors that idle connections hold would be missing to the recording.
    """

    def callback_new_connection(self) -> ServerRequestHandler:
        if len(self.active_connections) >= CONNECTIONS:
            present = [one for one in self.active_connections.values() if isinstance(one, _Handler)]
            min(present, key=lambda one: (one.has_asked, one.heard_s)).close()
        handler = _Handler(self, self.trace_packet, self.trace_pdu, self.trace_connect)  # type: ignore[no-untyped-call]
        handler.heard_s = self.loop.time()
        return handler
