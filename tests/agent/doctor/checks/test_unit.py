"""The service as systemctl tells of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.doctor.checks import unit
from agent.doctor.site import Site
from tests.agent.doctor.sites import Look, program, put, site, states, told

GOOD = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "NRestarts": "0",
    "UnitFileState": "enabled",
    "Type": "notify",
    "WatchdogUSec": "30s",
    "StatusText": "Running: 2 cameras",
    "DevicePolicy": "closed",
    "DeviceAllow": "char-video4linux rw",
}
LOOKS: tuple[Look, ...] = (unit.state, unit.boot, unit.watchdog)


def service(folder: Path, name: str = "agent.yaml", **changes: str) -> Site:
    put(folder, run__systemd__system__x="")
    program(folder, "systemctl", *(f"{key}={value}" for key, value in {**GOOD, **changes}.items()))
    return replace(site(folder), file=Path("/etc/plumbline") / name)


def test_a_service_that_runs_starts_with_the_machine_and_is_watched_is_good(tmp_path: Path) -> None:
    one = service(tmp_path)
    assert [states(look, one) for look in LOOKS] == [["ok"]] * 3
    assert told(unit.state, one, "ok").words == "plumbline.service: active (running), Running: 2 cameras"


@pytest.mark.parametrize(
    ("look", "changes", "found"),
    [
        (unit.state, {"ActiveState": "failed", "Result": "watchdog"}, ["wrong"]),
        (unit.state, {"ActiveState": "inactive", "SubState": "dead"}, ["note"]),
        (unit.state, {"NRestarts": "7"}, ["ok", "note"]),
        (unit.state, {"StatusText": "Degraded: Camera top lost"}, ["note"]),
        (unit.state, {"LoadState": "not-found"}, ["note"]),
        (unit.boot, {"UnitFileState": "disabled"}, ["note"]),
        (unit.watchdog, {"WatchdogUSec": "0"}, ["wrong"]),
        (unit.watchdog, {"Type": "simple"}, ["wrong"]),
    ],
)
def test_each_fault_of_it_is_said(
    tmp_path: Path, look: Look, changes: dict[str, str], found: list[str]
) -> None:
    assert states(look, service(tmp_path, **changes)) == found


def test_one_of_several_stations_has_a_service_of_its_own(tmp_path: Path) -> None:
    assert "plumbline@left.service" in told(unit.boot, service(tmp_path, "left.yaml"), "ok").words


def test_a_gpu_that_the_service_may_not_use_is_wrong(tmp_path: Path) -> None:
    assert states(unit.devices, service(tmp_path)) == ["skipped"]
    put(tmp_path, dev__nvidia0="")
    assert "drop-ins/gpu.conf" in told(unit.devices, service(tmp_path), "wrong").remedy
    assert states(unit.devices, service(tmp_path, DeviceAllow="char-nvidia rw")) == ["ok"]


def test_without_systemd_and_without_a_service_it_is_skipped_with_the_reason(tmp_path: Path) -> None:
    assert told(unit.state, site(tmp_path), "skipped").words == "systemd does not run here"
    service(tmp_path)
    assert "/etc/plumbline" in told(unit.state, site(tmp_path), "skipped").words
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    one = replace(site(tmp_path), file=Path("/etc/plumbline/agent.yaml"))
    assert told(unit.state, one, "skipped").words == "systemctl does not answer"
