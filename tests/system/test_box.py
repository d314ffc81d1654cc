"""The machine that the other tests stand on: it boots, watches, reboots, loses power and ends."""

from __future__ import annotations

import time

import pytest

from tests.brokers import eventually
from tests.system.box import Box
from tests.system.figures import Figures

UNIT = """[Service]
Type=notify
ExecStart=/usr/bin/python3 /usr/local/lib/pings.py
WatchdogSec=2
Restart=on-failure
RestartSec=0
DynamicUser=yes
ProtectSystem=strict
StateDirectory=pings
[Install]
WantedBy=multi-user.target
"""
PINGS = """
import os, socket, time
where = os.environ["NOTIFY_SOCKET"]
if where.startswith("@"):
    where = chr(0) + where[1:]
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.sendto(b"READY=1", where)
while True:
    to.sendto(b"WATCHDOG=1", where)
    time.sleep(0.5)
"""


@pytest.fixture
def pinging(box: Box) -> Box:
    box.write("/usr/local/lib/pings.py", PINGS)
    box.write("/etc/systemd/system/pings.service", UNIT)
    box.systemctl("daemon-reload")
    box.systemctl("enable", "--now", "pings")
    return box


def test_a_frozen_process_is_ended_by_the_watchdog_and_started_again(pinging: Box, figures: Figures) -> None:
    pid, before = pinging.show("pings", "MainPID"), pinging.cursor()
    frozen = time.monotonic()
    pinging.run("kill", "-STOP", pid)
    eventually(lambda: pinging.show("pings", "NRestarts") == "1", "a restart", 10)
    assert time.monotonic() - frozen < 5
    assert pinging.show("pings", "MainPID") != pid
    assert "pings.service: Watchdog timeout (limit 2s)!" in pinging.messages("pings", after=before)


def test_its_disk_outlives_a_reboot_and_a_power_cut(pinging: Box, figures: Figures) -> None:
    pinging.write("/var/lib/private/pings/kept", "yes")
    figures.note("box: reboot", pinging.reboot())
    assert pinging.systemctl("is-active", "pings") == "active"
    pinging.cut_power()
    figures.note("box: boot", pinging.boot())
    assert pinging.systemctl("is-active", "pings") == "active"
    assert pinging.run("cat", "/var/lib/pings/kept").stdout == "yes"
    figures.note("box: power-off", pinging.poweroff())
