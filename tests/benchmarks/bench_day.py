"""A day in 144 seconds, `plumbline simulate` to the example consumer: `python -m tests.benchmarks.bench_day`.

Both are processes of their own, with a real mosquitto between them that writes nothing to disk. The
day is right when as many verdicts and crops are kept as were committed, none twice and none missing.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.benchmarks.bench_outbox import cpu_model
from tests.brokers import HOST, Mosquitto, eventually
from tests.deploy.mes.told import Process, rows
from tests.faults.station_process import peak_rss_mb

HOURS, SPEED = 24, 600
EARLY = 0.25  # of the time that the day takes: memory is looked at here, and again at the end
SETTLE_S = 600.0
BROKER = ("persistence false", "autosave_on_changes false")


def main() -> int:
    print(f"{cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-day-") as name:
        folder = Path(name)
        broker = Mosquitto(folder / "mosquitto", *BROKER)
        broker.start()
        consumer = Process(f"sqlite:///{folder}/mes.sqlite3", broker.port, "--crops", folder / "crops")
        consumer.start()
        try:
            figures = _day(folder, broker.port, consumer)
        finally:
            consumer.stop()
            broker.stop()
    print("| figure | measured |\n| --- | ---: |")
    for what, measured in figures.items():
        print(f"| {what} | {measured} |")
    return 0 if figures["verdicts committed"] == figures["rows stored"] and figures["gaps"] == 0 else 1


def _day(folder: Path, port: int, consumer: Process) -> dict[str, object]:
    began = time.monotonic()
    words = ["simulate", "--host", HOST, "--port", str(port), "--hours", str(HOURS), "--speed", str(SPEED)]
    played = subprocess.Popen([sys.executable, "-m", "agent", *words], stdout=subprocess.PIPE, text=True)
    time.sleep(EARLY * HOURS * 3600 / SPEED)
    early = peak_rss_mb(played.pid), peak_rss_mb(consumer.pid)
    said, _ = played.communicate()
    seconds = time.monotonic() - began
    late_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # no other child has ended
    assert played.returncode == 0
    committed, crops, waiting = (
        int(re.search(pattern, said)[1])  # type: ignore[index]
        for pattern in (r"(\d+) verdicts", r"(\d+) crops", r"(\d+) rows waiting")
    )
    with closing(sqlite3.connect(folder / "mes.sqlite3", timeout=60)) as stored:
        eventually(lambda: rows(stored) == committed, "all verdicts are stored", SETTLE_S)
        found = rows(stored)
    eventually(lambda: _pictures(folder) == crops, "all crops are kept", SETTLE_S)
    return {
        "seconds that the day took": round(seconds),
        "verdicts committed": committed,
        "rows stored": found,
        "crops committed": crops,
        "crops kept": _pictures(folder),
        "rows that wait in the outbox": waiting,
        "gaps": int(consumer.gaps()[1].splitlines()[-1].split()[0]),
        "simulate, peak MB after a quarter and at the end": f"{early[0]:.0f}, {late_mb:.0f}",
        "consumer, the same": f"{early[1]:.0f}, {peak_rss_mb(consumer.pid):.0f}",
    }


def _pictures(folder: Path) -> int:
    return len(list((folder / "crops").glob("*.jpg")))


if __name__ == "__main__":
    sys.exit(main())
