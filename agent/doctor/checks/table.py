"""Every check there is, in the order in which they are told."""

from __future__ import annotations

from agent.doctor.check import Check
from agent.doctor.checks import (
    archive,
    broker,
    bundle,
    camera,
    certificates,
    clock,
    computer,
    disk,
    engine,
    gpu,
    outbox,
    outputs,
    page,
    ports,
    secrets,
    settings,
    unit,
)

LONG_S = 60.0
ENGINE_S = 180.0

CHECKS: tuple[Check, ...] = (
    Check(family="settings", name="file", look=settings.file, as_root=True),
    Check(family="settings", name="in force", look=settings.in_force),
    Check(family="settings", name="files named", look=settings.named, within_s=LONG_S),
    Check(family="secrets", name="files", look=secrets.files, as_root=True),
    Check(family="secrets", name="folder", look=secrets.folder, as_root=True),
    Check(family="bundle", name="digests", look=bundle.digests, within_s=LONG_S),
    Check(family="bundle", name="trust", look=bundle.trust, within_s=LONG_S),
    Check(family="engine", name="golden scores", look=engine.golden, within_s=ENGINE_S),
    Check(family="engine", name="packages", look=engine.packages),
    Check(family="gpu", name="driver", look=gpu.driver),
    Check(family="gpu", name="heat and memory", look=gpu.strain),
    Check(family="computer", name="cpu", look=computer.cpu),
    Check(family="computer", name="memory", look=computer.memory),
    Check(family="computer", name="heat", look=computer.heat),
    Check(family="computer", name="power mode", look=computer.power),
    Check(family="camera", name="answers", look=camera.answers, within_s=LONG_S),
    Check(family="camera", name="packet size", look=camera.packets),
    Check(family="camera", name="buffers", look=camera.buffers),
    Check(family="camera", name="usb", look=camera.usb),
    Check(family="disk", name="room", look=disk.room),
    Check(family="disk", name="speed", look=disk.speed),
    Check(family="disk", name="filesystem", look=disk.filesystem),
    Check(family="outbox", name="place", look=outbox.place),
    Check(family="outbox", name="integrity", look=outbox.integrity),
    Check(family="outbox", name="waiting", look=outbox.waiting),
    Check(family="archive", name="frames", look=archive.kept),
    Check(family="archive", name="room", look=archive.room),
    Check(family="clock", name="synchronised", look=clock.synchronised),
    Check(family="clock", name="date", look=clock.date, as_root=True),
    Check(family="clock", name="time zone", look=clock.zone),
    Check(family="broker", name="reach", look=broker.reach),
    Check(family="broker", name="login", look=broker.login, within_s=20.0),
    Check(family="broker", name="gateways", look=broker.gateways, within_s=30.0),
    Check(family="outputs", name="gates", look=outputs.gates, within_s=30.0),
    Check(family="certificates", name="broker's", look=certificates.of_broker),
    Check(family="certificates", name="ours", look=certificates.ours),
    Check(family="certificates", name="authority's", look=certificates.of_authority),
    Check(family="service", name="state", look=unit.state),
    Check(family="service", name="boot", look=unit.boot),
    Check(family="service", name="watchdog", look=unit.watchdog),
    Check(family="service", name="devices", look=unit.devices),
    Check(family="page", name="accounts", look=page.accounts),
    Check(family="ports", name="free", look=ports.free, as_root=True),
)
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(check.family for check in CHECKS))
