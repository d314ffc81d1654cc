"""Verdicts through half a minute without a broker, beside peers: `python -m tests.benchmarks.bench_outage`.

Ten verdicts a second from each publisher, through a proxy to a mosquitto of its own that keeps nothing on
disk, as mosquitto does by default, to a consumer with a persistent session that tries again each 0.2 s. All
at once, since none of it computes. Plumbline's is its outbox, courier and link as the agent has them, with
2 KB crops and events besides; of others see `peer_publishers`. What Plumbline made is what it committed; of
others, what they began to publish. A process that is killed dies half-way through and starts again.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.benchmarks.arrivals import Arrival, Outage, Tally, tally
from tests.benchmarks.peer_publishers import RATE_HZ, PeerPublisher
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.faults.proxy import FaultProxy
from tests.faults.rows import TOPICS, Recipe
from tests.faults.station_main import Orders
from tests.faults.station_process import StationProcess

BEFORE_S, OUTAGE_S, KILLED_AFTER_S = 5.0, 30.0, 15.0
QUIET_S = 40.0  # without an arrival, once new verdicts arrive: nothing more is coming
PATIENCE_S = 300.0  # paho tries again after 120 s at most
KEEPALIVE_S = 20  # the default of `mqtt.keepalive_s`
BROKER = ("persistence false", "autosave_on_changes false")
COLUMNS = (
    "made, and of these in the outage",
    "arrived",
    "lost, and of these in the outage",
    "twice",
    "out of order",
    "caught up after, s",
)


class Publisher(Protocol):
    """Makes numbered verdicts until it is halted."""

    topic: str

    def start(self) -> None: ...
    def made(self) -> int: ...
    def kill(self) -> None: ...
    def halt(self) -> int: ...
    def stop(self) -> None: ...


class Plumbline:
    """A station's uplink in a process of its own, on the outbox that its life before left."""

    topic = TOPICS.verdict(Recipe().camera)

    def __init__(self, folder: Path, port: int) -> None:
        self._orders = Orders(
            outbox=folder / "outbox.sqlite3",
            port=port,
            recipe=Recipe(),
            rate_hz=RATE_HZ,
            keepalive_s=KEEPALIVE_S,
        )
        self._process = StationProcess(self._orders)
        self._made = 0  # by the lives before

    def start(self) -> None:
        self._process.start()

    def made(self) -> int:
        return max(self._process.announced, self._made)

    def kill(self) -> None:
        self._process.kill()
        self._made = self.made()
        self._process = StationProcess(self._orders)

    def halt(self) -> int:
        return self._process.halt()

    def stop(self) -> None:
        self._process.stop()


@dataclass(frozen=True, kw_only=True)
class Plant:
    """Publisher -> proxy -> mosquitto -> consumer."""

    broker: Mosquitto
    proxy: FaultProxy
    consumer: Subscriber


def connections_forgotten(plant: Plant) -> None:
    plant.proxy.reset()
    plant.proxy.heal()


OUTAGES: dict[str, tuple[Callable[[Plant], None], Callable[[Plant], None]]] = {
    "broker killed, back without its memory": (
        lambda plant: plant.broker.kill(),
        lambda plant: plant.broker.start(),
    ),
    "network stalls, connections live on": (
        lambda plant: plant.proxy.blackhole(),
        lambda plant: plant.proxy.heal(),
    ),
    "network stalls, then resets them": (lambda plant: plant.proxy.blackhole(), connections_forgotten),
}
PUBLISHERS: dict[str, tuple[Callable[[Path, int], Publisher], bool]] = {  # and whether it is killed half-way
    "Plumbline": (Plumbline, False),
    "Plumbline, killed in the outage": (Plumbline, True),
    "as Frigate: QoS 0 while connected": (lambda folder, port: PeerPublisher("frigate", folder, port), False),
    "paho QoS 1, queue in memory": (lambda folder, port: PeerPublisher("paho", folder, port), False),
    "the same, killed in the outage": (lambda folder, port: PeerPublisher("paho", folder, port), True),
}


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; outages of {OUTAGE_S:.0f} s\n")
    print(f"| outage | publisher | {' | '.join(COLUMNS)} |\n|---|---|{'---:|' * len(COLUMNS)}", flush=True)
    cells = [(outage, publisher) for outage in OUTAGES for publisher in PUBLISHERS]
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-outage-") as name,
        ThreadPoolExecutor(len(cells)) as pool,
    ):
        found = pool.map(lambda cell: measured(*cell, Path(name)), cells)
        for (outage, publisher), one in zip(cells, found, strict=True):
            print(row(outage, publisher, one), flush=True)


def measured(outage: str, publisher: str, parent: Path) -> Tally:
    """One publisher through one outage, on a broker of its own."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    broker = Mosquitto(folder / "mosquitto", *BROKER)
    broker.start()
    proxy = FaultProxy(broker.port)
    build, is_killed = PUBLISHERS[publisher]
    maker = build(folder, proxy.port)
    plant = Plant(broker=broker, proxy=proxy, consumer=Subscriber(broker.port, maker.topic))
    proxy.start()
    plant.consumer.start()
    maker.start()
    try:
        return through(outage, plant, maker, is_killed=is_killed)
    finally:
        maker.stop()
        plant.consumer.stop()
        proxy.stop()
        broker.stop()


def through(outage: str, plant: Plant, maker: Publisher, *, is_killed: bool) -> Tally:
    begin, end = OUTAGES[outage]
    received = plant.consumer.received
    eventually(lambda: received, "verdicts arrive")
    time.sleep(BEFORE_S)
    last_before, began_s = maker.made(), time.monotonic()
    begin(plant)
    if is_killed:
        time.sleep(KILLED_AFTER_S)
        maker.kill()
        maker.start()
    time.sleep(max(0.0, began_s + OUTAGE_S - time.monotonic()))
    last_during, returned_s = maker.made(), time.monotonic()
    end(plant)
    eventually(lambda: received[-1].json()["sequence"] > last_during, "it delivers again", PATIENCE_S)
    made = maker.halt()
    eventually(
        lambda: (
            time.monotonic() - received[-1].at_s > QUIET_S
            or {one.json()["sequence"] for one in received}.issuperset(range(1, made + 1))
        ),
        "everything has arrived, or nothing more comes",
        PATIENCE_S,
    )
    return tally(
        made,
        Outage(last_before=last_before, last_during=last_during, returned_s=returned_s),
        [Arrival(sequence=one.json()["sequence"], at_s=one.at_s) for one in received],
    )


def row(outage: str, publisher: str, found: Tally) -> str:
    after = "-" if found.caught_up_s is None else f"{found.caught_up_s:.1f}"
    made, lost = f"{found.made}, {found.made_during}", f"{found.lost}, {found.lost_during}"
    counts = [made, found.arrived, lost, found.twice, found.disorder]
    return "| " + " | ".join([outage, publisher, *map(str, counts), after]) + " |"


if __name__ == "__main__":
    main()
