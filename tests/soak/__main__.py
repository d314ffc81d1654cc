"""A day of a station, as `make soak` plays it: `python -m tests.soak --minutes 30 --hours 24 --seed 0`.

Writes day.png, day.md, samples.csv and agent.log into OUT. Exit code 0 when the ledger closes, nothing grew
and all that was told has its reason.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.bench_outbox import cpu_model
from tests.soak import plan
from tests.soak.day import play, undoable
from tests.soak.picture import draw
from tests.soak.told import table
from tests.soak.watch import keep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=72.0, help="that the day takes; 72: 20 times as fast"
    )
    parser.add_argument("--hours", type=float, default=24.0, help="of the day that is played")
    parser.add_argument(
        "--seed", type=int, default=0, help="the same mishaps at the same hours for the same seed"
    )
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="folder for picture and table")
    given = parser.parse_args()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # its processes end with it, and its disk is unmounted
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n", flush=True)
    with tempfile.TemporaryDirectory(prefix=".soak-", dir=Path.cwd()) as name:
        folder = Path(name)
        without = undoable(folder)
        hazards = plan.a_day(given.seed, hours=given.hours, without=without)
        try:
            day = play(folder, hazards, minutes=given.minutes, hours=given.hours)
        finally:
            shutil.copyfile(folder / "agent.log", given.out / "agent.log")
        keep(given.out / "samples.csv", day.samples)
    draw(day, given.out / "day.png")
    lines = table(day, without=without)
    (given.out / "day.md").write_text(f"{lines}\n", encoding="utf-8")
    print(f"\n{lines}")
    complaints = day.complaints()
    for one in complaints:
        print(f"not as it should be: {one}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
