"""Settings of the outputs: what moves when a part is at the gate, and by what.

Modbus has neither login nor encryption: whoever reaches the PLC's port moves the gate, too. Keep the cell's
network its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from agent.settings.camera import Camera, FolderSource, GenicamSource, VideoSource
from agent.settings.section import Host, Identifier, Section

MAX_OUTPUTS = 8
OPCUA_ADDRESS = r"^opc\.tcp://[A-Za-z0-9._:\[\]-]+(/[!-~]*)?$"

Rejected: TypeAlias = Literal["fail", "undecided", "skipped"]


class EncoderTracking(Section):
    """The way from camera to gate, in counts of the encoder that the camera tells of."""

    kind: Literal["encoder"] = "encoder"
    distance_ticks: int = Field(ge=-(10**9), le=10**9)
    window_ticks: int = Field(ge=1, le=10**8)

    @model_validator(mode="after")
    def _goes_somewhere(self) -> EncoderTracking:
        if self.distance_ticks == 0:
            raise ValueError(
                "distance_ticks 0 is no way; write the counts from camera to gate, negative where the"
                " encoder counts down as parts go forward"
            )
        if self.window_ticks > abs(self.distance_ticks):
            raise ValueError(
                f"window_ticks {self.window_ticks} is more than the way of {abs(self.distance_ticks)} itself;"
                " write how far a part stays in front of the gate"
            )
        return self


class TimeTracking(Section):
    """The way from camera to gate, in time: for a belt that never changes its speed."""

    kind: Literal["time"] = "time"
    distance_ms: float = Field(gt=0, le=600_000)
    window_ms: float = Field(gt=0, le=60_000)


class ModbusGate(Section):
    """A coil of a PLC, over Modbus TCP."""

    kind: Literal["modbus"] = "modbus"
    host: Host = "127.0.0.1"
    port: int = Field(502, ge=1, le=65_535)
    unit: int = Field(1, ge=0, le=255)
    coil: int = Field(ge=0, le=65_535)
    heartbeat_coil: int | None = Field(None, ge=0, le=65_535)
    timeout_s: float = Field(0.5, ge=0.02, le=2)

    @model_validator(mode="after")
    def _two_coils(self) -> ModbusGate:
        if self.heartbeat_coil == self.coil:
            raise ValueError(f"coil and heartbeat_coil are both {self.coil}; give each its own")
        return self


class OpcUaGate(Section):
    """A Boolean variable of a PLC's OPC UA server."""

    kind: Literal["opcua"] = "opcua"
    url: str = Field(pattern=OPCUA_ADDRESS)
    node: str = Field(min_length=3, max_length=300)
    heartbeat_node: str | None = Field(None, min_length=3, max_length=300)
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_certificate_file: Path | None = None
    timeout_s: float = Field(0.5, ge=0.02, le=2)

    @model_validator(mode="after")
    def _belongs_together(self) -> OpcUaGate:
        files = (self.certificate_file, self.key_file, self.server_certificate_file)
        if any(files) and not all(files):
            raise ValueError(
                "certificate_file, key_file and server_certificate_file go together; set all or none"
            )
        if self.heartbeat_node == self.node:
            raise ValueError("node and heartbeat_node are one and the same; give each its own")
        return self


class GenicamGate(Section):
    """An output line of a GenICam camera of this station."""

    kind: Literal["genicam"] = "genicam"
    camera: Identifier
    line: str = Field("Line1", min_length=1, max_length=64)
    user_output: str = Field("UserOutput0", min_length=1, max_length=64)
    heartbeat_line: str | None = Field(None, min_length=1, max_length=64)
    heartbeat_user_output: str | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def _two_lines(self) -> GenicamGate:
        if (self.heartbeat_line is None) != (self.heartbeat_user_output is None):
            raise ValueError("heartbeat_line and heartbeat_user_output go together; set both or neither")
        if self.heartbeat_line == self.line or self.heartbeat_user_output == self.user_output:
            raise ValueError("gate and heartbeat need a line and a user output each; give each its own")
        return self


class GpioGate(Section):
    """A line of this machine's GPIO, through libgpiod."""

    kind: Literal["gpio"] = "gpio"
    chip: Path = Path("/dev/gpiochip0")
    line: int | str
    heartbeat_line: int | str | None = None

    @model_validator(mode="after")
    def _two_lines(self) -> GpioGate:
        if self.heartbeat_line == self.line:
            raise ValueError(f"line and heartbeat_line are both {self.line!r}; give each its own")
        return self


GateSettings = Annotated[ModbusGate | OpcUaGate | GenicamGate | GpioGate, Field(discriminator="kind")]
Tracking = Annotated[EncoderTracking | TimeTracking, Field(discriminator="kind")]


class Output(Section):
    """One gate, and which parts of which camera it rejects."""

    name: Identifier = "reject"
    camera: Identifier
    decides: Literal["view", "part"] = "view"
    rejects: tuple[Rejected, ...] = Field(("fail", "undecided", "skipped"), min_length=1, max_length=3)
    tracking: Tracking
    pulse_ms: float = Field(50.0, ge=1, le=60_000)
    when_late: Literal["reject", "pass"] = "reject"
    fail_safe: Literal["reject", "pass"] = "reject"
    inverted: bool = False
    heartbeat_s: float = Field(0.5, ge=0.1, le=10)
    gate: GateSettings

    @property
    def has_heartbeat(self) -> bool:
        """Whether anything toggles by which others know that the agent lives."""
        gate = self.gate
        match gate:
            case ModbusGate():
                return gate.heartbeat_coil is not None
            case OpcUaGate():
                return gate.heartbeat_node is not None
            case _:
                return gate.heartbeat_line is not None


def check(outputs: Sequence[Output], cameras: Sequence[Camera]) -> None:
    """Raises ValueError where two of them share a name or a place, or one names what the station has not."""
    sources = {one.name: one.source for one in cameras}
    ruled = {one.name for one in cameras if one.part_rule is not None}
    names = [output.name for output in outputs]
    taken: dict[tuple[object, ...], str] = {}
    for output in outputs:
        if names.count(output.name) > 1:
            raise ValueError(f"output name {output.name!r} stands twice; records name their output by it")
        source = sources.get(output.camera)
        if source is None:
            raise ValueError(
                f"output {output.name!r} follows camera {output.camera!r}, which is not there; there are "
                + ", ".join(sources)
            )
        if output.decides == "part" and output.camera not in ruled:
            raise ValueError(
                f"output {output.name!r} acts on parts, and camera {output.camera!r} has no part_rule;"
                " set that, or decides to view"
            )
        if isinstance(output.tracking, EncoderTracking) and isinstance(source, FolderSource | VideoSource):
            raise ValueError(
                f"output {output.name!r} tracks by encoder, and camera {output.camera!r} ({source.kind})"
                " tells of none; track by time, or take a camera with an encoder"
            )
        gate = output.gate
        if isinstance(gate, GenicamGate) and not isinstance(sources.get(gate.camera), GenicamSource):
            raise ValueError(
                f"output {output.name!r} moves a line of camera {gate.camera!r}, which is no camera of kind "
                "genicam here; name one that is"
            )
        for place in _places(gate):
            if place in taken:
                raise ValueError(
                    f"outputs {taken[place]!r} and {output.name!r} both move {place[-1]} of {place[1]}; "
                    "give each its own"
                )
            taken[place] = output.name


def _places(gate: ModbusGate | OpcUaGate | GenicamGate | GpioGate) -> list[tuple[object, ...]]:
    """What it moves: kind, device, and what of that."""
    match gate:
        case ModbusGate():
            device: tuple[object, ...] = ("modbus", f"{gate.host}:{gate.port}", gate.unit)
            ends: list[object] = [gate.coil, gate.heartbeat_coil]
            return [(*device, f"coil {end}") for end in ends if end is not None]
        case OpcUaGate():
            return [
                ("opcua", gate.url, node) for node in (gate.node, gate.heartbeat_node) if node is not None
            ]
        case GenicamGate():
            outputs = (gate.user_output, gate.heartbeat_user_output)
            return [("genicam", gate.camera, one) for one in outputs if one is not None]
        case GpioGate():
            lines = (gate.line, gate.heartbeat_line)
            return [("gpio", gate.chip, f"line {one}") for one in lines if one is not None]
