"""The site of a day: cameras, a disk, the agent, a broker, the MES and the office, each as it is in a plant.

`top` is a GigE Vision camera in a process of its own, which can be switched off; `left` and `right` are
simulated line cameras, whose views make one part by the encoder. Relative places are below one folder.
"""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.outbox.database import Database
from agent.outbox.file import read_depth
from agent.outbox.outbox import Outbox
from tests.agent.cli.calling import Ended, forked
from tests.agent.remote.rollouts import installed
from tests.brokers import Mosquitto, eventually
from tests.e2e.agent_process import ENTRY, AgentProcess
from tests.e2e.plant import PROBATION
from tests.faults.small_disk import small_disk
from tests.gige.process import SimulatedCamera
from tests.soak import hurried
from tests.soak.hurried import DayClock
from tests.soak.mes import WINDOW_LINES, Mes
from tests.soak.office import Office

DISK_MB = 64
SILENCE_S = 5.0  # a simulator may be late on a busy machine
OUTBOX = {"max_bytes": 40_000_000, "min_free_bytes": 4_000_000}
# No window: what the broker has sent is all that it holds, so that nothing can die with it alone.
BROKER = ("max_inflight_messages 0",)


class Site:
    """Made by `site`; its methods are what hazards do."""

    def __init__(self, folder: Path, clock: DayClock, *, rate_hz: float, is_warm: bool) -> None:
        self.clock = clock
        self.disk = folder / "disk"
        self.broker = Mosquitto(folder / "mosquitto", *BROKER)
        self.mes = Mes(folder, self.broker.port)
        self.office = Office(folder, self.broker.port)
        self.camera = SimulatedCamera()
        self._folder = folder
        entry = hurried.ENTRY + ENTRY
        self.agent = AgentProcess(folder, broker_port=self.broker.port, entry=entry, is_warm=is_warm)
        cells = folder / "cells.txt"
        cells.write_text("\n".join(map(str, sorted((folder / "frames").glob("*.png")))))
        lines = {"height": WINDOW_LINES, "line_rate_hz": WINDOW_LINES * rate_hz}
        self.camera.arguments |= {"images": str(cells), **lines}
        self.agent.settings |= self._settings(WINDOW_LINES * rate_hz)

    @property
    def outbox(self) -> Path:
        return self.disk / "outbox.sqlite3"

    def start_agent(self) -> None:
        self.agent.start(**{hurried.VARIABLE: str(self.clock.path)})

    def edit(self, **sections: dict[str, Any]) -> None:
        """Its settings file, on the next whole revision."""
        for name, members in sections.items():
            self.agent.settings.setdefault(name, {}).update(members)  # type: ignore[attr-defined]
        self.agent.settings["revision"] = int(self.agent.settings.get("revision", 0)) + 1  # type: ignore[call-overload]
        self.agent.write_settings()

    def reload(self) -> None:
        self.agent.send(signal.SIGHUP)

    def goes_on(self, camera: str | None = None) -> None:
        """Wait until the MES has new records, of this camera or of any."""
        before = self.mes.arrivals()
        eventually(
            lambda: self.mes.came_after(before, camera) >= 3, f"records of {camera or 'any camera'} come"
        )

    def drain(self) -> None:
        """Stop the agent in order, as often as it takes until nothing waits."""
        for _ in range(3):
            assert self.agent.stop() == 0, self.agent.log()[-2000:]
            if not self.waiting():
                return
            self.start_agent()
            self.goes_on()
        raise AssertionError(f"{self.waiting()} rows wait for the broker after three stops")

    def waiting(self) -> int:
        """Rows that the broker has not acknowledged."""
        return read_depth(self.outbox, clock=SystemClock()).rows

    def committed(self) -> int:
        """The last sequence, as the station's next life would find it."""
        outbox = Outbox(Database(self.outbox, clock=SystemClock()))
        outbox.open()
        try:
            return outbox.last_sequence()
        finally:
            outbox.close()

    def key(self) -> Path:
        """The station's public key in PEM."""
        config = self.agent.write_settings()
        path = self._folder / "station.pem"
        path.write_text(forked("-m", "agent", "station-key", "-c", config).out)
        return path

    def verify(self, place: Path) -> Ended:
        """`plumbline verify-log`."""
        return forked("-m", "agent", "verify-log", place, "--key", self.key())

    def _settings(self, line_rate_hz: float) -> dict[str, Any]:
        (line,) = copy.deepcopy(self.agent.settings["cameras"])  # type: ignore[call-overload]
        line["source"]["line_rate_hz"] = line_rate_hz
        line["part_rule"] = "housing"
        top = {
            "name": "top",
            "source": {"kind": "genicam", "address": self.camera.address, "packet_size": 9000},
            "silence_timeout_s": SILENCE_S,
        }
        return {
            "bundle": str(self._folder / "bundles" / "current"),
            "trust": {"file": str(self.office.trust)},
            "cameras": [top, {**line, "name": "left"}, {**copy.deepcopy(line), "name": "right"}],
            "parts": [{"name": "housing", "by": "encoder", "timeout_s": 5.0, "window_ticks": 40}],
            "engine": {"threads": 1},
            "archive": {
                "folder": str(self._folder / "archive"),
                "max_bytes": 100_000_000,
                "min_free_bytes": 0,
                "pass_share": 0.1,
            },
            "outbox": {"path": str(self.outbox), **OUTBOX},
            "remote": {"probation": PROBATION, "proof": {"frames": 8, "timeout_s": 600.0}},
        }


@contextmanager
def site(folder: Path, clock: DayClock, *, rate_hz: float, has_disk: bool, is_warm: bool) -> Iterator[Site]:
    """All of it at work; the day begins when the first records are there."""
    with ExitStack() as stack:
        disk = folder / "disk"
        disk.mkdir()
        if has_disk:
            stack.enter_context(small_disk(disk, megabytes=DISK_MB))
        made = Site(folder, clock, rate_hz=rate_hz, is_warm=is_warm)
        made.broker.start()
        stack.callback(made.broker.stop)
        made.office.start()
        stack.callback(made.office.stop)
        installed(folder / "bundles", made.office.first)
        made.mes.consumer.start()
        stack.callback(_end, made.mes)
        stack.enter_context(made.camera)
        clock.begin(datetime.now(timezone.utc))
        stack.callback(made.agent.kill)
        made.start_agent()
        made.goes_on()
        yield made


def _end(mes: Mes) -> None:
    if not mes.consumer.said:
        mes.consumer.stop()
