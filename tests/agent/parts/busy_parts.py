"""Records views of a station again and again until it is killed; takes the folder and the turn."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

from tests.agent.parts.station import Station
from tests.agent.parts.views import rule

CAMERAS = ("top", "side")
RULE = rule("part_id", cameras=CAMERAS, timeout_s=0.2)


def main() -> None:
    turn = int(sys.argv[2])
    rng = random.Random(turn)
    station = Station(Path(sys.argv[1]), [RULE], boot_id=f"boot-{turn}").open()
    threading.Thread(target=station.parts.run, args=(threading.Event(),), daemon=True).start()
    number = 0
    while True:
        for camera in CAMERAS:
            if rng.random() < 0.95:
                made = station.record(camera, f"{turn}-{number}", "fail" if rng.random() < 0.1 else "pass")
                print(f"recorded {made.sequence} .", flush=True)
        number += 1


if __name__ == "__main__":
    main()
