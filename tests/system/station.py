"""A station on a box: its settings, its service, and who listens to it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.demo.cells import load_cells
from agent.demo.demo import choose_cells
from tests.brokers import eventually
from tests.system.box import Box
from tests.system.ledger import Ledger

UNIT = "plumbline"
SETTINGS = "/etc/plumbline/agent.yaml"
STATE = "/var/lib/plumbline"
PICTURES = "/srv/pictures"
FIELD = "PLUMBLINE_"  # before the names of its own fields in the journal
PAGE = "http://127.0.0.1:8080"
MOSQUITTO = """max_queued_messages 0
autosave_on_changes true
autosave_interval 1
"""
# Two parts a second: boxes share their cores with whatever else runs here.
WANTED: dict[str, Any] = {
    "version": 1,
    "identity": {"site": "test", "area": "cells", "line": "line1", "station": "box1"},
    "bundle": "/usr/share/plumbline/bundles/elpv",
    "cameras": [
        {
            "name": "top",
            "source": {"kind": "linescan-sim", "path": PICTURES, "line_rate_hz": 600.0},
            "web": {"window_lines": 300},
        }
    ],
}


@dataclass(slots=True)
class Station:
    """The service as it was installed, on the simulated line camera, with a broker on the same machine."""

    box: Box
    ledger: Ledger
    wanted: dict[str, Any]

    def settle(self) -> None:
        """What an installation needs beside the package: pictures, a broker, settings."""
        pictures = self.box.path(PICTURES)
        pictures.mkdir(parents=True, exist_ok=True)
        for picture in sample_pictures():
            shutil.copyfile(picture, pictures / picture.name)
        self.box.write("/etc/mosquitto/conf.d/box.conf", MOSQUITTO)
        self.box.systemctl("restart", "mosquitto")
        self.set(revision=1)

    def set(self, **keys: Any) -> None:
        """Write the settings file with these keys in place of what stood there."""
        self.wanted = {**self.wanted, **keys}
        self.box.write(SETTINGS, yaml.safe_dump(self.wanted))

    def start(self) -> None:
        self.box.systemctl("start", UNIT)

    def stop(self) -> None:
        self.box.systemctl("stop", UNIT)

    def pid(self) -> str:
        return self.box.show(UNIT, "MainPID")

    def words(self) -> str:
        """What `systemctl status` says it is doing."""
        return self.box.show(UNIT, "StatusText")

    def version(self) -> str:
        """Of the program that serves the page."""
        return str(json.loads(self.box.run("curl", "--silent", f"{PAGE}/api/state").stdout)["version"])

    def ready_s(self) -> float:
        """From the start of the process until it said READY."""
        return self._between("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")

    def stop_s(self) -> float:
        """From SIGTERM until the process had ended."""
        return self._between("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")

    def _between(self, first: str, last: str) -> float:
        return (int(self.box.show(UNIT, last)) - int(self.box.show(UNIT, first))) / 1e6

    def events(self, name: str, *, after: str = "") -> list[dict[str, str]]:
        """The fields of what it has logged itself under this name."""
        lines = [
            {
                key.removeprefix(FIELD).lower(): str(value)
                for key, value in line.items()
                if key.startswith(FIELD)
            }
            for line in self.box.journal(UNIT, after=after)
        ]
        return [line for line in lines if line.get("event") == name]

    def restarts(self) -> int:
        return int(self.box.show(UNIT, "NRestarts"))

    def wait_for_restart(self, pid: str, timeout_s: float) -> None:
        """Another process than this one serves."""
        eventually(
            lambda: (
                self.pid() not in (pid, "0")
                and self.box.systemctl("is-active", UNIT, check=False) == "active"
            ),
            "the service is started again",
            timeout_s,
        )

    def signal(self, number: signal.Signals) -> None:
        self.box.run("kill", f"-{number.name.removeprefix('SIG')}", self.pid())

    def thread(self, name: str) -> int:
        """The number outside of the thread that bears this name, which it gets within a second."""
        tasks = Path(f"/proc/{self.box.outside(int(self.pid()))}/task")
        found: list[int] = []

        def look() -> bool:
            names = {int(task.name): (task / "comm").read_text().strip() for task in tasks.iterdir()}
            found[:] = [number for number, bears in names.items() if bears == name]
            return bool(found)

        eventually(look, f"a thread is called {name}", 10)
        return found[0]


@contextmanager
def frozen(thread: int) -> Iterator[float]:
    """One thread stands while all others go on, until it has ended, or this does; since when it stands."""
    words = [sys.executable, "-m", "tests.system.freeze", str(thread)]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"frozen\n"
        yield time.monotonic()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def sample_pictures() -> list[Path]:
    """Six solar cells, all of one width."""
    return [cell.image for cell in choose_cells(load_cells())[:6]]


def make_station(box: Box, folder: Path) -> Station:
    """Nothing is changed on the box yet."""
    ledger = Ledger(folder, WANTED["identity"]["station"])
    return Station(box=box, ledger=ledger, wanted=deepcopy(WANTED))
