"""The watchdog is fed by progress: whatever freezes, the station serves on in seconds and loses nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.brokers import eventually
from tests.system.figures import Figures
from tests.system.station import UNIT, Station, frozen

WATCHDOG_S = 3  # the unit's own is tried once
FREEZES = 20
LATE_S = 1.0  # systemd's own, on a machine that has other work
HASTY = f"/etc/systemd/system/{UNIT}.service.d/hasty.conf"


def test_a_frozen_process_is_restarted_within_the_units_own_time(station: Station, figures: Figures) -> None:
    pid, limit_s = station.pid(), int(station.box.show(UNIT, "WatchdogUSec").removesuffix("s"))
    before, since = station.box.cursor(), time.monotonic()
    station.signal(signal.SIGSTOP)
    noticed_s = starves(station, before, limit_s) - since
    figures.note(f"frozen process noticed, {limit_s} s", noticed_s)
    assert noticed_s < limit_s + LATE_S
    station.wait_for_restart(pid, 30)


@pytest.fixture(scope="module")
def hastened(started: Station) -> Iterator[None]:
    """A watchdog of seconds from here on."""
    started.box.write(HASTY, f"[Service]\nWatchdogSec={WATCHDOG_S}\nRestartSec=100ms\n")
    started.box.systemctl("daemon-reload")
    started.box.systemctl("restart", UNIT)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("hastened")
def test_a_frozen_line_is_noticed_every_time_and_named(station: Station, figures: Figures) -> None:
    for _ in range(FREEZES):
        station.ledger.grows(1)
        pid, before = station.pid(), station.box.cursor()
        with frozen(station.thread("line-top")) as since:
            noticed_s = starves(station, before, WATCHDOG_S) - since
            figures.note(f"frozen line noticed, {WATCHDOG_S} s", noticed_s)
            station.wait_for_restart(pid, 30)
        assert noticed_s < WATCHDOG_S + LATE_S
        assert named(station, before) == "line top"


@pytest.mark.usefixtures("hastened")
@pytest.mark.parametrize(
    ("thread", "stage"), [("outbox", "outbox"), ("camera-top", "camera top"), ("watch", "watch")]
)
def test_another_frozen_stage_is_noticed_and_named(station: Station, thread: str, stage: str) -> None:
    pid, before = station.pid(), station.box.cursor()
    with frozen(station.thread(thread)):
        starves(station, before, WATCHDOG_S)
        station.wait_for_restart(pid, 30)
    assert named(station, before) == stage


@pytest.mark.usefixtures("hastened")
def test_a_frozen_driver_is_replaced_without_a_restart(station: Station) -> None:
    pid, before = station.pid(), station.box.cursor()
    with frozen(station.thread("grab-top")):
        eventually(lambda: "stalled" in states(station, before), "its camera counts as stalled")
        eventually(lambda: states(station, before)[-1] == "streaming", "another driver gives frames")
    assert station.pid() == pid


def starves(station: Station, before: str, limit_s: float) -> float:
    """When systemd said so, by the journal's own clock, which is also this machine's monotonic one."""

    def told() -> list[float]:
        lines = station.box.journal(UNIT, after=before)
        return [
            int(line["__MONOTONIC_TIMESTAMP"]) / 1e6
            for line in lines
            if str(line["MESSAGE"]).startswith(f"{UNIT}.service: Watchdog")
        ]

    eventually(told, "the watchdog starves", 2 * limit_s + 10)
    return told()[0]


def named(station: Station, before: str) -> str:
    """The stage in the last line that the ended process had logged."""
    said = station.events("stage_stands", after=before)
    return said[-1]["stage"] if said else ""


def states(station: Station, before: str) -> list[str]:
    return [one["state"] for one in station.events("camera", after=before)]
