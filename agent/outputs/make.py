"""Which gate an output's settings mean."""

from __future__ import annotations

from agent.outputs.gate import Gate, GateError
from agent.outputs.genicam import Cameras, GenicamLine
from agent.settings.outputs import GenicamGate, GpioGate, ModbusGate, OpcUaGate, Output

EXTRA = {"gpiod": "gpio"}


def make_gate(output: Output, cameras: Cameras) -> Gate:
    """Not yet open; `cameras` are those that run. Raises GateError where a package is missing."""
    gate = output.gate
    try:
        match gate:
            case ModbusGate():
                from agent.outputs.modbus import ModbusCoil  # pymodbus is an extra

                return ModbusCoil(gate)
            case OpcUaGate():
                from agent.outputs.opcua import OpcUaVariable  # asyncua is large and an extra

                return OpcUaVariable(gate)
            case GenicamGate():
                return GenicamLine(gate, cameras)
            case GpioGate():
                from agent.outputs.gpio import GpioLine  # gpiod is an extra

                return GpioLine(gate)
    except ModuleNotFoundError as error:
        raise GateError(
            f"output {output.name}: kind {gate.kind} needs the package {error.name}; "
            f"install plumbline[{EXTRA.get(error.name or '', 'gateways')}]"
        ) from error
