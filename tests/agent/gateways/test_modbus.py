"""The Modbus server as a PLC sees it, through an independent client."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pymodbus.client import ModbusTcpClient

from agent.clock import ManualClock
from agent.contract.part import PART_REASONS
from agent.contract.row import Row
from agent.contract.verdict import ScoreMessage
from agent.gateways.gateway import GatewayError, Unacceptable
from agent.gateways.modbus import BLOCK_REGISTERS, CONNECTIONS, LAYOUT, PARTS, ModbusSink
from agent.settings.gateways import ModbusGateway
from tests.agent.gateways.records import MORNING, FakeRecords, crop, gateway, part, verdict, waiting
from tests.brokers import DEADLINE_S, HOST, eventually, free_port


class Plc:
    """A client of one sink, and the interlock that the sink is told of."""

    def __init__(self) -> None:
        self.hold = False
        self.clock = ManualClock(MORNING)
        self.port = free_port()
        settings = ModbusGateway(host=HOST, port=self.port)
        self.sink = ModbusSink(
            settings,
            cameras=["top", "bottom"],
            rules={"housing": ("top", "bottom")},
            clock=self.clock,
            interlock=lambda: self.hold,
            bind=lambda wanted, arrived_ns: (),
        )
        self.client = ModbusTcpClient(HOST, port=self.port)

    def deliver(self, *rows: Row) -> None:
        self.sink.deliver(waiting(rows))

    def block(self, camera: int = 0) -> tuple[float, ...]:
        """Offsets 0 to 14 as the table in modbus.py says, unpacked by hand."""
        answer = self.client.read_holding_registers(BLOCK_REGISTERS * camera, count=BLOCK_REGISTERS)
        assert not answer.isError()
        words = answer.registers
        age = words[4] << 16 | words[5]
        sequence = words[6] << 48 | words[7] << 32 | words[8] << 16 | words[9]
        (score,) = struct.unpack(">f", struct.pack(">HH", *words[10:12]))
        (threshold,) = struct.unpack(">f", struct.pack(">HH", *words[12:14]))
        return (*words[:4], age, sequence, score, threshold, words[14])

    def part_block(self) -> tuple[int, ...]:
        """Of the first part rule: offsets 0 to 14 as the table in modbus.py says."""
        words = self.client.read_holding_registers(PARTS, count=BLOCK_REGISTERS).registers
        sequence = words[6] << 48 | words[7] << 32 | words[8] << 16 | words[9]
        return (*words[:4], words[4] << 16 | words[5], sequence, *words[10:15])


@pytest.fixture
def plc() -> Iterator[Plc]:
    one = Plc()
    one.sink.open()
    assert one.client.connect()
    yield one
    one.client.close()
    one.sink.close()


def test_before_the_first_result_everything_says_so(plc: Plc) -> None:
    layout, heartbeat, flags, code, age, sequence, score, threshold, defects = plc.block()
    assert (layout, heartbeat, flags, code, age, sequence, defects) == (1, 0, 0, 0, 0xFFFF_FFFF, 0, 0)
    assert math.isnan(score) and math.isnan(threshold)


@pytest.mark.parametrize(("name", "code"), [("pass", 1), ("fail", 2), ("undecided", 3), ("skipped", 0)])
def test_a_verdict_fills_its_cameras_block(plc: Plc, name: str, code: int) -> None:
    sequence = 0x0001_0002_0003_0004
    score = ScoreMessage(raw=0.25, threshold=0.5, normalized=50.0)
    plc.clock.advance(70.0)
    plc.deliver(verdict(sequence, camera="bottom", name=name, score=score))  # type: ignore[arg-type]
    assert plc.block(1) == (1, 1, 2, code, 70_000, sequence, 0.25, 0.5, 0)
    assert plc.block(0)[2:6] == (0, 0, 0xFFFF_FFFF, 0)


def test_a_part_verdict_fills_its_rules_block(plc: Plc) -> None:
    assert plc.part_block() == (1, 0, 0, 0, 0xFFFF_FFFF, 0, 2, 0, 0, 0, 0)
    plc.clock.advance(70.0)
    plc.deliver(part(5, missing=("bottom",)), part(6), part(9, rule="gone"))
    assert plc.part_block() == (1, 1, 2, 2, 70_000, 6, 2, 2, 0b01, 0, 0)
    plc.deliver(part(7, missing=("bottom",)))
    missing = 1 + list(PART_REASONS).index("view_missing")
    assert plc.part_block() == (1, 2, 2, 3, 70_000, 7, 2, 1, 0, 0b10, missing)
    assert plc.block(0)[5] == 0, "no camera had a verdict"


def test_a_result_without_a_score_shows_none(plc: Plc) -> None:
    plc.deliver(verdict(7, name="skipped", score=None))
    assert math.isnan(plc.block()[6]) and math.isnan(plc.block()[7])


def test_input_registers_show_the_same(plc: Plc) -> None:
    plc.deliver(verdict(7))
    holding = plc.client.read_holding_registers(0, count=32).registers
    assert plc.client.read_input_registers(0, count=32).registers == holding
    assert plc.client.read_input_registers(0, count=32, device_id=17).registers == holding


def test_the_last_verdict_of_a_batch_is_shown_whatever_else_is_in_it(plc: Plc) -> None:
    rows = [verdict(1), verdict(2, camera="bottom"), verdict(3), crop(3), verdict(4, camera="gone")]
    replayed = verdict(1, replayed=True)
    records = FakeRecords([*rows, replayed])
    assert gateway(records, Already(plc.sink)).step()
    assert records.cursor == 6
    assert (plc.block(0)[5], plc.block(1)[5]) == (3, 2)


class Already:
    """A sink that was opened before."""

    def __init__(self, sink: ModbusSink) -> None:
        self.rows_at_a_time = sink.rows_at_a_time
        self.deliver = sink.deliver

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_the_heartbeat_grows_and_wraps_and_the_interlock_follows_without_any_result(plc: Plc) -> None:
    plc.deliver()
    assert plc.block()[1:3] == (1, 0)
    plc.hold = True
    plc.deliver()
    assert plc.block()[1:3] == (2, 1)
    plc.hold = False
    for _ in range(65_534):
        plc.sink._heartbeat += 1
    plc.deliver()
    assert plc.block()[1:3] == (1, 0)


@pytest.mark.slow
def test_in_its_gateway_the_heart_beats_while_nothing_happens() -> None:
    one = Plc()
    courier = gateway(FakeRecords(), one.sink)
    courier.start()
    eventually(one.client.connect, "the server listens")
    eventually(lambda: one.block()[1] >= 3, "the heart beats")
    courier.stop()
    one.client.close()
    assert courier.failure is None


def test_nobody_can_write(plc: Plc) -> None:
    plc.deliver(verdict(7))
    before = plc.block()
    assert plc.client.write_register(3, 1).isError()
    assert plc.client.write_registers(0, [0] * 16).isError()
    assert plc.client.write_coil(0, True).isError()
    assert plc.block() == before


def test_there_is_nothing_beyond_the_cameras(plc: Plc) -> None:
    assert plc.client.read_holding_registers(32, count=1).isError()
    assert plc.client.read_holding_registers(0, count=33).isError()


def test_a_block_is_never_a_mixture_of_two_results(plc: Plc) -> None:
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number = number % 60_000 + 1  # a register has 16 bits
            score = ScoreMessage(raw=float(number), threshold=float(number), normalized=1.0)
            plc.deliver(verdict(number, score=score), verdict(number, camera="bottom", score=score))

    plc.deliver(verdict(1), verdict(1, camera="bottom"))
    changer = threading.Thread(target=change)
    changer.start()
    seen, answers = set(), 0
    try:
        while answers < 300 or len(seen) <= 10:
            answers += 1
            words = plc.client.read_holding_registers(0, count=32).registers
            numbers = {words[9], words[25]}
            scores = {
                struct.unpack(">f", struct.pack(">HH", *words[at : at + 2]))[0] for at in (10, 12, 26, 28)
            }
            seen |= numbers
            assert len(numbers) == 1
            assert scores == numbers or numbers == {1}
    finally:
        stop.set()
        changer.join()


def test_a_port_that_is_taken_is_named_with_a_remedy_and_tried_again() -> None:
    one = Plc()
    with socket.create_server((HOST, one.port)):
        with pytest.raises(GatewayError, match=f"{HOST}:{one.port}: cannot listen there; check host"):
            one.sink.open()
        one.sink.close()
    one.sink.open()
    one.sink.close()


def test_a_verdict_of_an_unknown_form_is_unacceptable(plc: Plc) -> None:
    row = verdict(1)
    content = json.loads(row.payload)
    del content["sequence"]
    bad = Row(
        id="x",
        kind="verdict",
        topic=row.topic,
        payload=json.dumps(content).encode(),
        content_type=row.content_type,
    )
    with pytest.raises(Unacceptable, match="not a verdict that this agent knows: sequence: Field required"):
        plc.deliver(verdict(1), bad, verdict(3))
    assert plc.block()[5] == 1  # what came before it is shown


def test_a_plc_notices_that_the_server_has_gone(plc: Plc) -> None:
    with socket.create_connection((HOST, plc.port)) as connected:
        plc.block()
        plc.sink.close()
        connected.settimeout(DEADLINE_S)
        assert connected.recv(1) == b""


def test_a_client_that_sends_nonsense_does_not_disturb_another(plc: Plc) -> None:
    with socket.create_connection((HOST, plc.port)) as rude:
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200)
        plc.deliver(verdict(7))
        assert plc.block()[5] == 7


def test_idle_connections_keep_nobody_out_and_cost_no_one_who_asks(plc: Plc) -> None:
    with ExitStack() as crowd:
        for number in range(4 * CONNECTIONS):
            crowd.enter_context(socket.create_connection((HOST, plc.port), DEADLINE_S))
            if number % 16 == 0:
                assert plc.block()[0] == LAYOUT
        latecomer = ModbusTcpClient(HOST, port=plc.port)
        assert latecomer.connect()
        assert not latecomer.read_holding_registers(0, count=BLOCK_REGISTERS).isError()
        latecomer.close()
        assert plc.sink._server is not None
        assert len(plc.sink._server.active_connections) <= CONNECTIONS
