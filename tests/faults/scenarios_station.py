"""What befalls the station itself: it is killed, its clock jumps, a callback raises, its disk is full."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.brokers import eventually
from tests.faults.ledger import Balance
from tests.faults.plant import Plant
from tests.faults.small_disk import enlarge, small_disk
from tests.faults.station_main import FAILURE_CODE

LIFE_S = 0.35
DISK_BYTES = 1_000_000


def killed(folder: Path, *, seed: int = 1, kills: int = 50) -> Balance:
    """SIGKILL at random moments, from before the first append on."""
    rng = random.Random(seed)
    with Plant(folder) as plant:
        for _ in range(kills):
            plant.start()
            time.sleep(rng.uniform(0, LIFE_S))
            plant.kill()
        plant.start(appends=0)
        return plant.finish(f"agent killed {kills} times")


def clock_jumps(folder: Path) -> Balance:
    """The wall clock is set an hour ahead, then two hours back."""
    with Plant(folder) as plant:
        station = plant.start(mishap="clock_jumps")
        station.wait_for(3 * round(station.orders.rate_hz))
        return plant.finish("clock jumps an hour both ways")


def a_callback_raises(folder: Path) -> Balance:
    """Once, in the network thread, while it reports an acknowledgement."""
    with Plant(folder) as plant:
        station = plant.start(mishap="on_publish_raises")
        station.wait_for(200)
        return plant.finish("a callback raises")


def a_disk_that_fails(folder: Path) -> Balance:
    """The broker is away, and at some size the outbox's files may not grow; twice the station gives up.

    The kernel refuses the write (RLIMIT_FSIZE), which needs no rights; SQLite takes it for a broken disk.
    """
    with Plant(folder) as plant:
        plant.proxy.refuse()
        for limit in (1, 2):
            station = plant.start(rate_hz=0, file_limit_bytes=limit * DISK_BYTES)
            assert plant.bury() == FAILURE_CODE
            assert station.failure is not None and "check free space" in station.failure
        plant.proxy.heal()
        plant.start(appends=50)
        return plant.finish("disk refuses writes, twice")


def a_full_disk(folder: Path) -> Balance:
    """The outbox has a small disk to itself and fills it while the broker is away; then there is room.

    The station lives on and says that the disk is full; nothing that it announced is lost.
    """
    place = folder / "disk"
    place.mkdir()
    with small_disk(place, megabytes=4), Plant(folder, files=place) as plant:
        plant.proxy.refuse()
        station = plant.start(rate_hz=0)
        eventually(lambda: station.disk_full, "the disk is full")
        announced = station.announced
        plant.proxy.heal()
        time.sleep(1)
        enlarge(place, megabytes=64)
        station.wait_for(announced + 500)
        return plant.finish("disk full, then room")
