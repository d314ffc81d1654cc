"""How long a fleet of simulated stations takes, through a real mosquitto.

Office, broker and stations share this machine; the stations do no real work, so that what is seen is signing,
records on the disk, messages and the waves' order.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.brokers import Mosquitto
from tests.fleet.crowd import Crowd
from tests.fleet.real import Desk, stations
from tests.fleet.sources import Ware
from tests.fleet.world import NEW, NEWER

GOAL_S = 60.0
GOAL_STATIONS = 200
SIZES = (10, 50, GOAL_STATIONS)


def main() -> int:
    table = Table(title="a bundle to every station, in waves of 1, 5 %, 25 % and the rest")
    for name in ("stations", "first s", "next s", "stations/s", "goal"):
        table.add_column(name, justify="right")
    is_good = True
    for size in SIZES:
        first_s, next_s = measured(size)
        goal = "-"
        if size == GOAL_STATIONS:
            is_good = max(first_s, next_s) < GOAL_S
            goal = f"< {GOAL_S:.0f} s: {'yes' if is_good else 'NO'}"
        table.add_row(str(size), f"{first_s:.1f}", f"{next_s:.1f}", f"{size / next_s:.0f}", goal)
    Console().print(table)
    return 0 if is_good else 1


def measured(size: int) -> tuple[float, float]:
    """Seconds for a first rollout, and for the next one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "mosquitto")
        broker.start()
        crowd = Crowd(broker.port, stations(size))
        crowd.start()
        desk = Desk(broker.port, crowd, folder / "state")
        try:
            return rolled_out(desk, crowd, NEW), rolled_out(desk, crowd, NEWER)
        finally:
            desk.wire.close()
            crowd.stop()
            broker.stop()


def rolled_out(desk: Desk, crowd: Crowd, ware: Ware) -> float:
    began = time.monotonic()
    record = desk.bundle(ware)
    took_s = time.monotonic() - began
    assert record.state == "finished", record.why
    assert all(one.bundle == ware for one in crowd.stations)
    return took_s


if __name__ == "__main__":
    sys.exit(main())
