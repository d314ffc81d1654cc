"""A broker, a proxy before it, an independent subscriber, and one life of a station after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.clock import SystemClock
from agent.uplink.outbox import Outbox, Row
from tests.brokers import Mosquitto, Subscriber
from tests.faults.ledger import Balance, settle
from tests.faults.proxy import FaultProxy
from tests.faults.rows import TOPICS, Recipe
from tests.faults.station_main import Orders
from tests.faults.station_process import StationProcess

DRAIN_S = 60.0


class Plant:
    """Station -> proxy -> mosquitto -> subscriber; the station's files are in `folder`."""

    def __init__(self, folder: Path, *broker_lines: str, recipe: Recipe | None = None) -> None:
        self.outbox = folder / "outbox.sqlite3"
        self.broker = Mosquitto(folder / "mosquitto", *broker_lines)
        self.proxy = FaultProxy(self.broker.port)
        self.subscriber = Subscriber(self.broker.port, f"{TOPICS.prefix}/#")
        self.recipe = recipe or Recipe()
        self._station: StationProcess | None = None
        self._announced = 0
        self._peak_rss_mb = 0.0

    def __enter__(self) -> Plant:
        self.broker.start()
        self.proxy.start()
        self.subscriber.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._station is not None:
            self.kill()
        self.subscriber.stop()
        self.proxy.stop()
        self.broker.stop()

    def start(self, **orders: Any) -> StationProcess:
        """A station's life, on the outbox that the one before it left."""
        plain = Orders(outbox=self.outbox, port=self.proxy.port, recipe=self.recipe)
        self._station = StationProcess(replace(plain, **orders))
        self._station.start()
        return self._station

    def kill(self) -> None:
        station = self._take_leave()
        station.kill()
        self._remember(station)

    def bury(self) -> int:
        """A station that ends by itself; its exit code."""
        station = self._take_leave()
        code = station.wait_for_its_death()
        self._remember(station)
        return code

    def finish(self, fault: str, *, passed: Collection[str] = ()) -> Balance:
        """Let the station append no more and deliver what waits, and settle the accounts."""
        station = self._take_leave()
        committed = self.recipe.appends(station.halt())
        waited(lambda: self.has_arrived(committed) and self.rows_waiting() == 0, DRAIN_S)
        station.stop()
        self._remember(station)
        assert self.last_sequence() == len([row for row in committed if row.sequence]) >= self._announced
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
            (got.topic, got.payload) for got in received
        }

    def rows_waiting(self) -> int:
        return Outbox(self.outbox, clock=SystemClock()).depth().rows

    def last_sequence(self) -> int:
        """As the next life would find it."""
        outbox = Outbox(self.outbox, clock=SystemClock())
        outbox.open()
        try:
            return outbox.last_sequence()
        finally:
            outbox.close()

    def _take_leave(self) -> StationProcess:
        station, self._station = self._station, None
        assert station is not None, "no station lives"
        return station

    def _remember(self, station: StationProcess) -> None:
        self._announced = max(self._announced, station.announced)
        self._peak_rss_mb = max(self._peak_rss_mb, station.peak_rss_mb)


def waited(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `condition` came true in time; a balance is made up in either case."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True
