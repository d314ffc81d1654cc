"""A gate behind a coil, at a real Modbus server that answers late, refuses, hangs and goes away."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from agent.outputs.gate import GateError
from agent.outputs.modbus import ModbusCoil
from agent.settings.outputs import ModbusGate
from tests.agent.outputs.plc import ModbusPlc
from tests.brokers import HOST, free_port

GATE, HEARTBEAT = 16, 17


def coil(port: int, *, number: int = GATE, timeout_s: float = 2.0) -> ModbusCoil:
    return ModbusCoil(
        ModbusGate(host=HOST, port=port, coil=number, heartbeat_coil=HEARTBEAT, timeout_s=timeout_s)
    )


def test_a_coil_is_written_as_it_is_told_and_the_heartbeat_beside_it(plc: ModbusPlc) -> None:
    gate = coil(plc.port)
    gate.open()
    for high in (True, False, True):
        gate.set(high)
        gate.beat(high)
        assert gate.level() is high
    gate.close()
    assert plc.levels(GATE) == plc.levels(HEARTBEAT) == [True, False, True]


def test_without_a_heartbeat_coil_nothing_toggles(plc: ModbusPlc) -> None:
    gate = ModbusCoil(ModbusGate(host=HOST, port=plc.port, coil=GATE))
    gate.open()
    gate.beat(True)
    gate.close()
    assert plc.moved == []


def test_a_coil_that_the_plc_has_not_is_named() -> None:
    plc = ModbusPlc(lacks=frozenset((GATE,)))
    plc.start()
    gate = coil(plc.port)
    gate.open()
    with pytest.raises(GateError, match=r"refused coil 16 \(exception 2\); check that the PLC has that coil"):
        gate.set(True)
    gate.close()
    plc.stop()


def test_a_plc_that_hangs_costs_its_time_out_and_no_more(plc: ModbusPlc) -> None:
    gate = coil(plc.port, timeout_s=0.1)
    gate.open()
    plc.hang()
    began = time.monotonic()
    with pytest.raises(GateError, match=r"did not answer within 0.1 s; check the PLC"):
        gate.set(True)
    assert 0.1 <= time.monotonic() - began < 60
    gate.close()


@pytest.mark.parametrize(
    "answer",
    [b"\x05\x00\x10\x00\x00", b"\x05\x00\x09\xff\x00", b"\x01\x01\x01", b"\x06\x00\x10\xff\x00"],
    ids=["shut", "another coil", "a reading", "a register"],
)
def test_an_answer_that_is_not_what_was_written_is_no_answer(answer: bytes) -> None:
    """A gate that did not open must not count as opened."""
    listening = socket.create_server((HOST, 0))

    def answers() -> None:
        with listening.accept()[0] as client:
            asked = client.recv(64)
            client.sendall(asked[:4] + bytes((0, len(answer) + 1)) + asked[6:7] + answer)
            client.recv(64)

    plc = threading.Thread(target=answers)
    plc.start()
    gate = coil(listening.getsockname()[1])
    gate.open()
    with pytest.raises(GateError, match="answered to coil 16 with another thing than what was written"):
        gate.set(True)
    gate.close()
    plc.join()
    listening.close()


def test_a_plc_that_is_not_there_is_told_and_one_that_is_back_is_taken() -> None:
    plc = ModbusPlc(port=free_port())
    gate = coil(plc.port)
    with pytest.raises(GateError, match="cannot be connected to; check host and port"):
        gate.open()
    gate.close()
    plc.start()
    gate.open()
    gate.set(True)
    plc.stop()
    with pytest.raises(GateError):
        gate.set(False)
    gate.close()
    again = ModbusPlc(port=plc.port)
    again.start()
    gate.open()
    gate.set(False)
    gate.close()
    again.stop()
    assert plc.levels(GATE) == [True] and again.levels(GATE) == [False]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 20, b"\xff" * 300])
def test_a_server_that_speaks_something_else_is_told_as_one_that_does_not_answer(answer: bytes) -> None:
    with socket.create_server((HOST, 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)
                connection.recv(100)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        gate = coil(server.getsockname()[1], timeout_s=0.2)
        gate.open()
        with pytest.raises(GateError, match="did not answer within"):
            gate.set(True)
        gate.close()
        thread.join(60)


def test_who_is_not_connected_says_so() -> None:
    with pytest.raises(GateError, match="is not connected"):
        coil(free_port()).set(True)
