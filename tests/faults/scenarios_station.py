"""What befalls the station itself: it is killed, its clock jumps, a callback raises, its disk is full."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.faults.ledger import Balance
from tests.faults.plant import Plant

LIFE_S = 0.35


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
