"""What befalls the network between station and broker, by the proxy."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.brokers import eventually
from tests.faults.ledger import Balance
from tests.faults.plant import Plant
from tests.faults.rows import Recipe

ONE_WAY_S = 0.05


def blackhole(folder: Path) -> Balance:
    """Nothing gets through and nothing is closed; the station must notice by itself, and recover."""
    with Plant(folder) as plant:
        station = plant.start()
        station.wait_for(150)
        plant.proxy.blackhole()
        began_s = time.monotonic()
        eventually(lambda: "connected" not in station.reasons[-1], "the station notices")
        noticed_s = time.monotonic() - began_s
        plant.proxy.heal()
        keepalive_s = station.orders.keepalive_s
        return plant.finish(f"TCP blackhole, noticed after {noticed_s / keepalive_s:.1f} keepalives")


def resets(folder: Path, *, seed: int = 1, resets: int = 5) -> Balance:
    """Both ends are reset at random moments; the last time the port is closed for a while, too.

    So many resets look like a rival, after whom the station would wait half a minute.
    """
    rng = random.Random(seed)
    with Plant(folder) as plant:
        station = plant.start(haste=20.0)
        for number in range(1, resets + 1):
            station.wait_for_connection(number)
            time.sleep(rng.uniform(0.1, 0.5))
            plant.proxy.reset()
        station.wait_for_connection(resets + 1)
        plant.proxy.refuse()
        time.sleep(1)
        plant.proxy.heal()
        return plant.finish(f"TCP reset {resets} times")


def delay(folder: Path, *, window: int) -> Balance:
    """50 ms each way: a window of rows for each round trip of 100 ms, where the broker takes as many."""
    appends = 20 * window
    with Plant(folder, f"max_inflight_messages {window + 1}") as plant:
        plant.proxy.refuse()
        plant.start(rate_hz=0, appends=appends).wait_for(appends)
        plant.kill()
        plant.proxy.heal()
        plant.proxy.delay(ONE_WAY_S)
        station = plant.start(appends=0, window=window)
        station.wait_for_connection(1)
        began_s, rows = time.monotonic(), plant.recipe.appends(appends)
        eventually(lambda: plant.has_arrived(rows), "everything arrives")
        rate_hz = len(rows) / (time.monotonic() - began_s)
        return plant.finish(f"50 ms each way, window {window}: {rate_hz:.0f} rows/s")


def slow_link(folder: Path) -> Balance:
    """64 KB/s for crops that need twice as much; verdicts go first."""
    with Plant(folder, recipe=Recipe(crop_bytes=20_000)) as plant:
        plant.proxy.throttle(64_000)
        plant.start(rate_hz=30).wait_for(90)
        return plant.finish("64 KB/s link")
