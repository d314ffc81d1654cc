"""The test's end of a station process: start, listen, kill.

Stations are forked from a server that has imported everything, so that fifty of them start in
seconds. (`python -m pytest`; the script `pytest` makes every one of them import pytest.)
"""

from __future__ import annotations

import multiprocessing
import re
import threading
from pathlib import Path

from tests.brokers import DEADLINE_S, eventually
from tests.faults.station_main import Orders, Report, run

CONTEXT = multiprocessing.get_context("forkserver")


class StationProcess:
    """One life of a station, from `start` to `kill` or `stop`."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.announced = 0  # the last sequence said to be committed
        self.reasons: list[str] = []  # how the link stood, in order
        self.disk_full = False  # it has been, for a while
        self.failure: str | None = None  # of the outbox
        self.peak_rss_mb = 0.0
        self._last: int | None = None
        self._broken = 0  # announcements out of order
        self._started = threading.Event()
        self._pipe, self._childs_end = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=run, args=(orders, self._childs_end), daemon=True)
        self._listener = threading.Thread(target=self._listen, name="station-reports", daemon=True)

    def start(self) -> None:
        CONTEXT.set_forkserver_preload([run.__module__])
        self._process.start()
        self._childs_end.close()
        self._listener.start()
        assert self._started.wait(DEADLINE_S), "the station did not start"

    def wait_for(self, appends: int) -> None:
        """Until so many appends of all lives are committed."""
        eventually(lambda: self.announced >= appends, f"{appends} appends are committed")

    def connections(self) -> int:
        """How often it has been accepted by a broker."""
        return sum(reason.startswith("connected") for reason in self.reasons)

    def wait_for_connection(self, number: int) -> None:
        """Until a broker has accepted it so many times."""
        eventually(lambda: self.connections() >= number, f"connection {number} is there")

    def halt(self) -> int:
        """End the appending; the last sequence that is committed."""
        self._pipe.send("halt")
        eventually(lambda: self._last is not None, "the station has halted", 2 * DEADLINE_S)
        assert self._last is not None
        return self._last

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        self._note_peak()
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """As the agent stops."""
        self._note_peak()
        self._pipe.send("stop")
        self._end()

    def wait_for_its_death(self) -> int:
        """Of its own doing; the exit code."""
        self._process.join(DEADLINE_S)
        code = self._process.exitcode
        assert code is not None, "the station lives on"
        self._end()
        return code

    def _end(self) -> None:
        self._process.join(DEADLINE_S)
        self._listener.join(DEADLINE_S)
        self._pipe.close()
        self._process.close()
        assert not self._broken, "commits were announced out of order"

    def _listen(self) -> None:
        try:
            while True:
                self._take(self._pipe.recv())
        except (EOFError, OSError):  # it is dead, perhaps in the middle of a report
            return

    def _take(self, report: Report) -> None:
        match report:
            case ("started", _):
                self._started.set()
            case ("committed", int(sequence)):
                self._broken += self.announced not in (0, sequence - 1)
                self.announced = sequence
            case ("halted", int(last)):
                self._last = last
            case ("link", str(reason)):
                self.reasons.append(reason)
            case ("disk_full", _):
                self.disk_full = True
            case ("failed", str(reason)):
                self.failure = reason

    def _note_peak(self) -> None:
        self.peak_rss_mb = peak_rss_mb(self._process.pid)


def peak_rss_mb(pid: int | None) -> float:
    """The most memory that a living process ever held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found, f"process {pid} is no more"
    return int(found.group(1)) / 1024
