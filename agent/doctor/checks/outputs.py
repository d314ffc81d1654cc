"""The outputs: whether what moves each gate is there and answers. Nothing is moved."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.finding import Said, failed, note, ok, skipped
from agent.doctor.holder import holder_of
from agent.doctor.site import Site
from agent.outbox.place import lock_of
from agent.outputs.gate import Gate, GateError, ShowsLevel
from agent.outputs.genicam import Cameras
from agent.outputs.make import make_gate
from agent.settings.outputs import GenicamGate, GpioGate, Output

SEE = "see gate of that output in the settings, and power and network of what moves it"


def gates(site: Site) -> Iterator[Said]:
    if not site.settings.outputs:
        yield skipped("no output is set")
        return
    for output in site.settings.outputs:
        yield from _of(site, output)


def _of(site: Site, output: Output) -> Iterator[Said]:
    gate = output.gate
    if isinstance(gate, GenicamGate):
        yield skipped(
            f"{output.name}: a line of camera {gate.camera}, which only the agent moves; see the camera"
        )
        return
    holder = holder_of(site.machine, lock_of(site.settings.outbox.path))
    if isinstance(gate, GpioGate) and holder is not None and holder.is_agent:
        yield skipped(f"{output.name}: the running agent holds its line; see health")
        return
    try:
        yield ok(f"{output.name}: {_seen(make_gate(output, Cameras()))}")
    except GateError as error:
        yield failed(error, SEE)
        return
    if not output.has_heartbeat:
        yield note(
            f"{output.name}: without a heartbeat the gate stays as it is when the agent dies",
            "give the gate one in the settings, and have the PLC watch it",
        )


def _seen(gate: Gate) -> str:
    try:
        gate.open()
        if not isinstance(gate, ShowsLevel):
            return "its line is there"
        return f"its gate answers, and is {'high' if gate.level() else 'low'}"
    finally:
        gate.close()
