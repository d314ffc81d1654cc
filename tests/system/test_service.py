"""The service under systemd, from its first start on: whatever ends it, no record is lost.

One station lives through all of it in this order; each test finds it running, and leaves it so.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.brokers import eventually
from tests.system.box import Box
from tests.system.figures import Figures
from tests.system.station import PAGE, SETTINGS, UNIT, Station

STARTS = 5
READY_S = STOP_S = 5.0
FREEZES = 2
WATCHDOG_S = 4  # for twenty freezes; the unit's own is tried once
LATE_S = 1.5  # systemd's own, on a machine that has other work


def test_it_says_how_it_stands(station: Station) -> None:
    assert station.words().startswith("Running")
    assert station.words() in station.box.systemctl("status", UNIT)
    health = json.loads(station.box.run("curl", "--silent", f"{PAGE}/healthz").stdout)
    assert health["state"] == "running"
    assert "<html" in station.box.run("curl", "--silent", PAGE).stdout


def test_doctor_finds_nothing_beside_it(station: Station, figures: Figures) -> None:
    started = time.monotonic()
    said = station.box.run("plumbline", "doctor", check=False)
    figures.note("doctor beside the service", time.monotonic() - started)
    assert said.returncode == 0, said.stdout


def test_it_starts_and_stops_within_seconds_and_drains(station: Station, figures: Figures) -> None:
    for _ in range(STARTS):
        station.ledger.grows(2)
        station.stop()
        assert station.box.show(UNIT, "Result") == "success"
        figures.note("SIGTERM to exit", station.stop_s())
        assert station.stop_s() < STOP_S
        last = int(station.events("stopped")[-1]["last_sequence"])
        station.ledger.wait_for(last, 5)  # it was sent before the end
        station.start()
        figures.note("start to READY, cached engine", station.ready_s())
        assert station.ready_s() < READY_S


def test_it_is_started_again_after_a_kill(station: Station, figures: Figures) -> None:
    pid, killed = station.pid(), time.monotonic()
    station.signal(signal.SIGKILL)
    station.wait_for_restart(pid, 20)
    figures.note("SIGKILL to READY again", time.monotonic() - killed)


def test_good_settings_are_in_force_after_a_reload_without_a_new_process(station: Station) -> None:
    pid = station.pid()
    station.set(revision=2, judge={"min_area_px": 20})
    station.box.systemctl("reload", UNIT, timeout_s=10)
    eventually(lambda: station.ledger.revision() == 2, "verdicts by the new settings")
    assert station.pid() == pid


def test_a_reload_that_changes_the_camera_keeps_the_process_and_every_number(station: Station) -> None:
    pid = station.pid()
    [camera] = station.wanted["cameras"]
    station.set(revision=3, cameras=[{**camera, "source": {**camera["source"], "line_rate_hz": 700.0}}])
    station.box.systemctl("reload", UNIT, timeout_s=10)
    eventually(lambda: station.ledger.revision() == 3, "verdicts by the new settings")
    assert station.pid() == pid


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("judge: {min_area_px: -1}", "judge.min_area_px"),
        ("judge: {", "agent.yaml:3"),
        ("bundle: /nowhere", "/nowhere"),
    ],
)
def test_bad_settings_change_nothing_and_are_told(station: Station, bad: str, said: str) -> None:
    pid, revision = station.pid(), station.ledger.revision()
    good = station.box.path(SETTINGS).read_text()
    station.box.write(SETTINGS, f"version: 1\n{bad}\n")
    station.box.systemctl("reload", UNIT, timeout_s=10)
    try:
        eventually(lambda: "refused" in station.words(), "STATUS says so", 10)
        assert said in station.words()
        station.ledger.grows()
        assert (station.pid(), station.ledger.revision()) == (pid, revision)
    finally:
        station.box.write(SETTINGS, good)
        station.box.systemctl("reload", UNIT, timeout_s=10)
    eventually(lambda: "refused" not in station.words(), "STATUS says so no more", 20)


def test_what_the_broker_missed_comes_when_it_is_back(station: Station) -> None:
    last = station.ledger.last()
    station.box.systemctl("stop", "mosquitto")
    eventually(lambda: "Broker" in station.words(), "STATUS names the broker")
    station.box.systemctl("start", "mosquitto")
    station.ledger.wait_for(last + 5)


def test_it_comes_back_with_the_machine(station: Station, figures: Figures) -> None:
    for name, again in (("reboot", station.box.reboot), ("power cut", power_cut(station.box))):
        station.ledger.stop()
        figures.note(f"{name} to serving", again())
        station.ledger.start(station.box)
        station.ledger.grows()


def power_cut(box: Box) -> Callable[[], float]:
    def again() -> float:
        box.cut_power()
        return box.boot()

    return again


def test_the_units_are_sound_here(station: Station, figures: Figures) -> None:
    units = [f"/usr/lib/systemd/system/{name}" for name in ("plumbline.service", "plumbline@.service")]
    verified = station.box.run("systemd-analyze", "verify", *units)
    assert (verified.stdout, verified.stderr) == ("", "")
    for unit in units:
        said = station.box.run("systemd-analyze", "security", "--offline=true", unit).stdout
        overall = next(line for line in said.splitlines() if "Overall exposure" in line)
        exposure = float(overall.split(":")[1].split()[0])
        figures.note(f"exposure of {unit.rpartition('/')[2]}", exposure, "")
        assert exposure <= 2.0


def test_numbers_never_begin_again(started: Station) -> None:
    numbers = started.ledger.numbers()
    assert started.ledger.boots() > STARTS
    assert all(earlier < later for earlier, later in pairwise(numbers))
