"""An output's settings are right or refused, in the words of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import settings
from agent.settings.outputs import EncoderTracking, ModbusGate, TimeTracking
from agent.settings.settings import Settings, SettingsError

CAMERAS = (
    "cameras: [{name: top, source: {kind: folder, path: a}}, "
    "{name: belt, source: {kind: genicam, address: 10.0.0.5, scan: line}}]\n"
)
TIME = "tracking: {kind: time, distance_ms: 800, window_ms: 20}"
ENCODER = "tracking: {kind: encoder, distance_ticks: 4000, window_ticks: 100}"
COIL = "gate: {kind: modbus, coil: 16}"
BEAT = "gate: {kind: modbus, coil: 3, heartbeat_coil: 16}"
VARIABLE = "kind: opcua, url: 'opc.tcp://plc', node: 'ns=2;s=G'"


def parsed(text: str) -> Settings:
    return settings.parse(text, name="a.yaml", base=Path("/etc/plumbline"), environment={})


def test_what_is_left_out_rejects_all_that_did_not_pass_and_leaves_the_gate_open_at_a_stop() -> None:
    (one,) = parsed(f"{CAMERAS}outputs: [{{camera: top, {TIME}, {COIL}}}]\n").outputs
    assert one.rejects == ("fail", "undecided", "skipped")
    assert one.when_late == one.fail_safe == "reject" and not one.inverted
    assert isinstance(one.tracking, TimeTracking) and isinstance(one.gate, ModbusGate)
    assert not one.has_heartbeat


def test_an_encoder_that_counts_down_has_a_negative_distance() -> None:
    text = ENCODER.replace("4000", "-4000")
    (one,) = parsed(f"{CAMERAS}outputs: [{{camera: belt, {text}, {COIL}}}]\n").outputs
    assert isinstance(one.tracking, EncoderTracking) and one.tracking.distance_ticks == -4000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{{camera: top, {COIL}}}", "outputs.0.tracking: required key is missing"),
        (f"{{camera: top, {TIME}}}", "outputs.0.gate: required key is missing"),
        (
            f"{{camera: up, {TIME}, {COIL}}}",
            "outputs: output 'reject' follows camera 'up', which is not there; there are top, belt",
        ),
        (
            f"{{camera: top, {TIME}, {COIL}, decides: part}}",
            "outputs: output 'reject' acts on parts, and camera 'top' has no part_rule; set that",
        ),
        (
            f"{{camera: top, {ENCODER}, {COIL}}}",
            "outputs: output 'reject' tracks by encoder, and camera 'top' (folder) tells of none; ",
        ),
        (
            f"{{camera: top, {TIME}, gate: {{kind: genicam, camera: top}}}}",
            "outputs: output 'reject' moves a line of camera 'top', which is no camera of kind genicam",
        ),
        (
            f"{{camera: top, {TIME}, {COIL}}}, {{camera: top, {TIME}, {COIL}}}",
            "outputs: output name 'reject' stands twice",
        ),
        (
            f"{{camera: top, {TIME}, {COIL}}}, {{name: b, camera: top, {TIME}, {COIL}}}",
            "outputs: outputs 'reject' and 'b' both move coil 16 of 127.0.0.1:502; give each its own",
        ),
        (
            f"{{camera: top, {TIME}, {COIL}}}, {{name: b, camera: top, {TIME}, {BEAT}}}",
            "outputs: outputs 'reject' and 'b' both move coil 16",
        ),
        (
            f"{{camera: top, {TIME}, gate: {{kind: modbus, coil: 3, heartbeat_coil: 3}}}}",
            "outputs.0.gate: coil and heartbeat_coil are both 3; give each its own",
        ),
        (
            f"{{camera: top, {TIME}, gate: {{kind: opcua, url: 'http://plc', node: 'ns=2;s=G'}}}}",
            "outputs.0.gate.url: is no address of an OPC UA server; write opc.tcp://HOST:PORT",
        ),
        (
            f"{{camera: top, {TIME}, gate: {{{VARIABLE}, key_file: k}}}}",
            "outputs.0.gate: certificate_file, key_file and server_certificate_file go together",
        ),
        (
            f"{{camera: top, {TIME}, gate: {{kind: gpio, line: 17, heartbeat_line: 17}}}}",
            "outputs.0.gate: line and heartbeat_line are both 17; give each its own",
        ),
        (
            f"{{camera: belt, {TIME}, gate: {{kind: genicam, camera: belt, heartbeat_line: Line2}}}}",
            "outputs.0.gate: heartbeat_line and heartbeat_user_output go together",
        ),
        (
            "{camera: belt, tracking: {kind: encoder, distance_ticks: 0, window_ticks: 1}, " + COIL + "}",
            "outputs.0.tracking: distance_ticks 0 is no way; write the counts from camera to gate",
        ),
        (
            "{camera: belt, tracking: {kind: encoder, distance_ticks: -50, window_ticks: 60}, " + COIL + "}",
            "outputs.0.tracking: window_ticks 60 is more than the way of 50 itself",
        ),
        (f"{{camera: top, {TIME}, {COIL}, rejects: []}}", "outputs.0.rejects"),
        (f"{{camera: top, {TIME}, {COIL}, rejects: [pass]}}", "outputs.0.rejects.0"),
        (f"{{camera: top, {TIME}, {COIL}, pulse_ms: 0}}", "outputs.0.pulse_ms"),
    ],
)
def test_bad_input_names_the_line_the_key_and_the_fault(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(f"{CAMERAS}outputs: [{text}]\n")
    (found,) = caught.value.problems
    assert found.startswith(f"a.yaml:2: {problem}"), found
