"""A gate behind a Boolean of a real OPC UA server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.outputs.gate import GateError
from agent.outputs.opcua import OpcUaVariable
from agent.settings.outputs import OpcUaGate
from tests.agent.outputs.plc import OpcUaPlc
from tests.brokers import free_port


@pytest.fixture(scope="module")
def plc() -> Iterator[OpcUaPlc]:
    one = OpcUaPlc()
    one.start()
    yield one
    one.stop()


def gate(url: str, node: str = "ns=2;s=Cell.Gate") -> OpcUaVariable:
    return OpcUaVariable(OpcUaGate(url=url, node=node, heartbeat_node="ns=2;s=Cell.Heartbeat", timeout_s=2.0))


def test_a_variable_is_written_as_it_is_told_and_the_heartbeat_beside_it(plc: OpcUaPlc) -> None:
    one = gate(plc.url)
    one.open()
    for high in (True, False, True):
        one.set(high)
        one.beat(not high)
        assert one.level() is high
    one.close()
    assert plc.levels("Gate")[-3:] == [True, False, True]
    assert plc.levels("Heartbeat")[-3:] == [False, True, False]


@pytest.mark.parametrize(
    ("node", "words"),
    [("ns=2;s=Cell.None", "BadNodeIdUnknown"), ("ns=2;s=Cell.Label", "holds str, and is to be a Boolean")],
)
def test_a_node_that_is_none_for_a_gate_is_named(plc: OpcUaPlc, node: str, words: str) -> None:
    one = gate(plc.url, node)
    with pytest.raises(GateError, match=words):
        one.open()
        one.level()
    one.close()


def test_a_variable_that_may_not_be_written_is_told_with_what_to_check(plc: OpcUaPlc) -> None:
    one = gate(plc.url, "ns=2;s=Cell.Label")
    one.open()
    with pytest.raises(GateError, match="check url, node and who may write there"):
        one.set(True)
    one.close()


def test_a_server_that_is_not_there_is_told() -> None:
    one = gate(f"opc.tcp://127.0.0.1:{free_port()}")
    with pytest.raises(GateError, match="check url, node"):
        one.open()
    one.close()


def test_a_server_that_went_away_is_told_and_taken_again_when_it_is_back() -> None:
    plc = OpcUaPlc()
    plc.start()
    one = gate(plc.url)
    one.open()
    one.set(True)
    plc.stop()
    with pytest.raises(GateError):
        one.set(False)
    one.close()
    again = OpcUaPlc(port=plc.port)
    again.start()
    one.open()
    one.set(False)
    one.close()
    again.stop()
    assert again.levels("Gate") == [False]


def test_a_key_that_everybody_can_read_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    for name in ("ours.pem", "key.pem", "theirs.pem"):
        (tmp_path / name).write_text("no certificate")
        (tmp_path / name).chmod(0o644)
    one = OpcUaVariable(
        OpcUaGate(
            url=f"opc.tcp://127.0.0.1:{free_port()}",
            node="ns=2;s=Cell.Gate",
            certificate_file=tmp_path / "ours.pem",
            key_file=tmp_path / "key.pem",
            server_certificate_file=tmp_path / "theirs.pem",
        )
    )
    with pytest.raises(GateError, match="every user of this machine can use it"):
        one.open()
    one.close()
