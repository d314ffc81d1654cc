"""What moves each gate is asked whether it is there; nothing is moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.doctor.checks import outputs
from tests.agent.doctor.sites import site, states, told
from tests.agent.outputs.plc import ModbusPlc
from tests.brokers import HOST, free_port

CAMERAS = [
    {"name": "top", "source": {"kind": "folder", "path": "frames"}},
    {"name": "belt", "source": {"kind": "genicam", "address": "10.0.0.5"}},
]
TIME = {"kind": "time", "distance_ms": 800.0, "window_ms": 20.0}


def with_gate(folder: Path, gate: dict[str, Any]) -> Any:
    wanted = [{"name": "reject", "camera": "top", "tracking": TIME, "gate": gate}]
    return site(folder, cameras=CAMERAS, outputs=wanted)


def test_without_an_output_nothing_is_looked_at(tmp_path: Path) -> None:
    assert states(outputs.gates, site(tmp_path)) == ["skipped"]


def test_a_gate_that_answers_is_good_and_is_not_moved(tmp_path: Path) -> None:
    plc = ModbusPlc()
    plc.start()
    gate = {"kind": "modbus", "host": HOST, "port": plc.port, "coil": 3}
    one = with_gate(tmp_path, {**gate, "heartbeat_coil": 4})
    assert told(outputs.gates, one, "ok").words == "reject: its gate answers, and is low"
    assert states(outputs.gates, one) == ["ok"]
    bare = with_gate(tmp_path, gate)
    assert "without a heartbeat the gate stays as it is" in told(outputs.gates, bare, "note").words
    plc.stop()
    assert plc.moved == []


def test_a_gate_that_does_not_answer_is_wrong_with_what_to_check(tmp_path: Path) -> None:
    one = with_gate(tmp_path, {"kind": "modbus", "host": HOST, "port": free_port(), "coil": 3})
    found = told(outputs.gates, one, "wrong")
    assert "cannot be connected to" in found.words


def test_a_line_of_a_camera_is_the_agents_alone(tmp_path: Path) -> None:
    one = with_gate(tmp_path, {"kind": "genicam", "camera": "belt"})
    assert "a line of camera belt, which only the agent moves" in told(outputs.gates, one, "skipped").words


def test_a_chip_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    one = with_gate(tmp_path, {"kind": "gpio", "chip": str(tmp_path / "gpiochip9"), "line": 4})
    assert "there is no such chip" in told(outputs.gates, one, "wrong").remedy
