"""A PLC binds parts and orders through registers: whole, once, and with an answer."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

import pytest
from pymodbus.client import ModbusTcpClient

from agent.clock import ManualClock
from agent.contract.arguments import Bind
from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.gateways import modbus_binding
from agent.gateways.modbus import ModbusSink
from agent.gateways.modbus_binding import AREA, BOUND, FAILED, LATE, REGISTERS, STROBE, UNFIT
from agent.settings.gateways import ModbusGateway
from tests.agent.gateways.records import MORNING, verdict, waiting
from tests.brokers import HOST, free_port

CAMERA, APPLIES_TO, TIMEOUT, PART, JOB = 3, 4, 5, 7, 72


def text(words: str | bytes) -> list[int]:
    """Its length in bytes and 64 registers."""
    content = words.encode() if isinstance(words, str) else words
    return [len(content), *struct.unpack(">64H", content.ljust(128, b"\0"))]


class Plc:
    def __init__(self, *, binding: bool = True) -> None:
        self.bound: list[tuple[Bind, int]] = []
        self.fails: PlumblineError | None = None
        self.clock = ManualClock(MORNING)
        port = free_port()
        self.sink = ModbusSink(
            ModbusGateway(host=HOST, port=port, binding=binding),
            cameras=["top", "bottom"],
            rules={},
            clock=self.clock,
            interlock=lambda: False,
            bind=self.bind,
        )
        self.sink.open()
        self.client = ModbusTcpClient(HOST, port=port)
        assert self.client.connect()

    def bind(self, wanted: Bind, arrived_ns: int) -> Sequence[str]:
        if self.fails is not None:
            raise self.fails
        self.bound.append((wanted, arrived_ns))
        return ["top"]

    def write(self, offset: int, *values: int) -> bool:
        return not self.client.write_registers(AREA + offset, list(values)).isError()

    def strobe(self, number: int) -> tuple[int, int]:
        """`taken` and `result` after it."""
        assert self.write(STROBE, number)
        answer = self.client.read_holding_registers(AREA, count=3).registers
        assert answer[0] == 1
        return answer[1], answer[2]

    def close(self) -> None:
        self.client.close()
        self.sink.close()


@pytest.fixture
def plc() -> Iterator[Plc]:
    one = Plc()
    yield one
    one.close()


def test_a_part_is_bound_when_the_strobe_says_that_it_is_whole(plc: Plc) -> None:
    plc.clock.advance(7)
    assert plc.write(CAMERA, 1, 0, 0, 2500, *text("SN-004711"))
    assert plc.write(JOB, *text("WO-77"))
    assert not plc.bound, "nothing is bound before"
    assert plc.strobe(1) == (1, BOUND)
    wanted = Bind(
        camera="bottom", part_id="SN-004711", job_id="WO-77", applies_to="next_trigger", timeout_s=2.5
    )
    assert plc.bound == [(wanted, 7_000_000_000)]


def test_the_same_strobe_again_binds_nothing_and_another_one_does(plc: Plc) -> None:
    plc.write(CAMERA, 0xFFFF, 2, 0, 0, *text("SN-1"))
    assert plc.strobe(1) == (1, BOUND)
    assert plc.strobe(1) == (1, BOUND) and plc.strobe(0) == (1, BOUND)
    assert len(plc.bound) == 1
    assert plc.strobe(65_535) == (65_535, BOUND) and len(plc.bound) == 2
    assert plc.bound[0][0] == Bind(part_id="SN-1", applies_to="until_changed")


def test_a_strobe_within_the_request_of_the_last_registers_counts_for_these(plc: Plc) -> None:
    plc.write(CAMERA, 0, 1, 0, 500, *text("old"))
    order = text("WO-9")
    assert plc.write(JOB, *order, 5)
    assert plc.bound == [
        (Bind(camera="top", part_id="old", job_id="WO-9", applies_to="window", timeout_s=0.5), 0)
    ]


def test_no_part_and_no_order_any_more_are_said_by_their_lengths(plc: Plc) -> None:
    plc.write(PART, 0xFFFF)
    plc.write(JOB, 0xFFFF)
    assert plc.strobe(1) == (1, BOUND)
    assert plc.bound == [(Bind(camera="top", part_id=None, job_id=None), 0)]


@pytest.mark.parametrize(
    ("offset", "values"),
    [
        (CAMERA, [2]),
        (APPLIES_TO, [3]),
        (PART, [129]),
        (PART, text(b"\xff\xfe")),
        (PART, text("SN\n1")),
        (PART, text(" SN")),
        (PART, [0]),
        (TIMEOUT, [0, 50]),
        (TIMEOUT, [0xFFFF, 0xFFFF]),
    ],
)
def test_what_means_nothing_binds_nothing_and_says_so(plc: Plc, offset: int, values: list[int]) -> None:
    plc.write(CAMERA, 0, 0, 0, 0, *text("SN-1"))
    plc.write(offset, *values)
    assert plc.strobe(1) == (1, UNFIT) and not plc.bound
    plc.write(CAMERA, 0, 0, 0, 0, *text("SN-2"))
    assert plc.strobe(2) == (2, BOUND), "the next one is bound"


def test_what_comes_too_late_or_fails_has_an_answer_of_its_own(plc: Plc) -> None:
    plc.write(PART, *text("SN-1"))
    plc.fails = NotDoneError("late", "its record is made")
    assert plc.strobe(1) == (1, LATE)
    plc.fails = PlumblineError("the disk is gone")
    assert plc.strobe(2) == (2, FAILED)


def test_what_is_read_only_stays_so_and_verdicts_are_where_they_were(plc: Plc) -> None:
    assert not plc.write(0, 7) and not plc.write(1, 7) and not plc.write(STROBE + 1, 7)
    assert plc.client.write_registers(0, [7]).isError()
    assert plc.client.write_coil(AREA + STROBE, True).isError()
    plc.sink.deliver(waiting([verdict(3, camera="bottom")]))
    assert plc.client.read_holding_registers(16 + 9, count=1).registers == [3]
    assert not plc.bound


def test_without_the_setting_nothing_can_be_written() -> None:
    one = Plc(binding=False)
    try:
        assert not one.write(STROBE, 1) and not one.bound
    finally:
        one.close()


def test_the_table_is_that_of_the_code() -> None:
    rows = re.findall(r"\| (\d+)(?:-(\d+))? +\| ([a-z ]+?) +\|", modbus_binding.__doc__ or "")
    places = {name: (int(first), int(last or first)) for first, last, name in rows}
    assert places["camera"][0] == AREA + CAMERA and places["timeout"][0] == AREA + TIMEOUT
    assert places["part bytes"][0] == AREA + PART and places["job bytes"][0] == AREA + JOB
    assert places["strobe"][0] == AREA + STROBE == AREA + REGISTERS - 1
    covered = [number for first, last in places.values() for number in range(first, last + 1)]
    assert covered == list(range(AREA, AREA + REGISTERS))
