"""A broker, a proxy before it, an independent subscriber, and stations that live one life after the other."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.clock import SystemClock
from agent.contract.row import Row
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.brokers import Mosquitto, Subscriber
from tests.faults.ledger import Balance, settle
from tests.faults.proxy import FaultProxy
from tests.faults.rows import TOPICS, Recipe
from tests.faults.station_main import Orders
from tests.faults.station_process import StationProcess

PATIENCE_S = 60.0  # the longest back-off is 30 s
SAVES_AT_ITS_END = ("autosave_on_changes false", "autosave_interval 0")  # not after every message


class Plant:
    """Stations -> proxy -> mosquitto -> subscriber. A station's files are named after its one camera."""

    def __init__(
        self, folder: Path, *broker_lines: str, recipe: Recipe | None = None, files: Path | None = None
    ) -> None:
        """`files` is where the stations have theirs, if not in `folder`."""
        self.broker = Mosquitto(folder / "mosquitto", *SAVES_AT_ITS_END, *broker_lines)
        self.proxy = FaultProxy(self.broker.port)
        self.subscriber = Subscriber(self.broker.port, f"{TOPICS.prefix}/#")
        self.recipe = recipe or Recipe()
        self._files = files or folder
        self._living: dict[str, StationProcess] = {}
        self._announced: dict[str, int] = {}
        self._peak_rss_mb = 0.0

    def __enter__(self) -> Plant:
        self.broker.start()
        self.proxy.start()
        self.subscriber.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for camera in list(self._living):
            self.kill(camera)
        self.subscriber.stop()
        self.proxy.stop()
        self.broker.stop()

    def start(self, camera: str = "top", **orders: Any) -> StationProcess:
        """A station's life, on the outbox that the one before it left."""
        recipe = replace(self.recipe, camera=camera)
        plain = Orders(outbox=self._outbox(camera), port=self.proxy.port, recipe=recipe)
        station = StationProcess(replace(plain, **orders))
        station.start()
        self._living[camera] = station
        return station

    def kill(self, camera: str = "top") -> None:
        station = self._living.pop(camera)
        station.kill()
        self._remember(camera, station)

    def bury(self, camera: str = "top") -> int:
        """A station that ends by itself; its exit code."""
        station = self._living.pop(camera)
        code = station.wait_for_its_death()
        self._remember(camera, station)
        return code

    def finish(self, fault: str, *, passed: Collection[str] = ()) -> Balance:
        """Let all stations append no more and deliver what waits, and settle the accounts.

        When nothing has moved for `PATIENCE_S`, they are settled as they are.
        """
        last = {camera: station.halt() for camera, station in self._living.items()}
        committed = [
            row for camera in last for row in replace(self.recipe, camera=camera).appends(last[camera])
        ]
        self._wait_for(committed)
        for camera, station in self._living.items():
            station.stop()
            self._remember(camera, station)
            assert self._last_sequence(camera) == last[camera] >= self._announced[camera]
        self._living.clear()
        return settle(
            fault,
            committed,
            self.subscriber.received,
            passed=passed,
            waiting=self.rows_waiting(),
            peak_rss_mb=self._peak_rss_mb,
        )

    def has_arrived(self, rows: Collection[Row]) -> bool:
        received = self.subscriber.received
        return len(received) >= len(rows) and {(row.topic, row.payload) for row in rows} <= {
            (got.topic, got.content) for got in received
        }

    def _wait_for(self, committed: Collection[Row]) -> None:
        before, moved_s = (-1, -1), time.monotonic()
        while time.monotonic() - moved_s < PATIENCE_S:
            now = (len(self.subscriber.received), self.rows_waiting())
            if now[1] == 0 and self.has_arrived(committed):
                return
            if now != before:
                before, moved_s = now, time.monotonic()
            time.sleep(0.05)

    def rows_waiting(self) -> int:
        """In the outboxes of all stations that ever lived."""
        cameras = {*self._living, *self._announced}
        return sum(
            Outbox(Database(self._outbox(camera), clock=SystemClock())).depth().rows for camera in cameras
        )

    def _last_sequence(self, camera: str) -> int:
        """As the station's next life would find it."""
        outbox = Outbox(Database(self._outbox(camera), clock=SystemClock()))
        outbox.open()
        try:
            return outbox.last_sequence()
        finally:
            outbox.close()

    def _outbox(self, camera: str) -> Path:
        return self._files / f"{camera}.sqlite3"

    def _remember(self, camera: str, station: StationProcess) -> None:
        self._announced[camera] = max(self._announced.get(camera, 0), station.announced)
        self._peak_rss_mb = max(self._peak_rss_mb, station.peak_rss_mb)
