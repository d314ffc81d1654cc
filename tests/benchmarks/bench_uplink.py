"""What the uplink can carry here, against its targets: `python -m tests.benchmarks.bench_uplink`.

Outbox, courier and link run in a process of their own for each figure, with a real mosquitto on this
machine that writes nothing to disk and has no subscriber. Rows are 1.5 KB verdicts and 64 KB crops. The
CPU time that a rate costs says what it would be on a machine with nothing else to do.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from agent.clock import SystemClock
from agent.contract.row import Row
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.uplink.stations import Station, mqtt, station
from tests.benchmarks.bench_outbox import cpu_model, crop, verdict
from tests.brokers import Mosquitto, eventually
from tests.faults.station_process import peak_rss_mb

SECONDS = 10.0
AHEAD = 500  # rows appended and not acknowledged, at most, while the two keep step
PACE_HZ = 400.0
WAITING_ROWS = 1_000_000
BLOCK_ROWS = 1000
BROKER = ("persistence false", "autosave_on_changes false")

_Figure = TypeVar("_Figure")


def main() -> None:
    print(f"{cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    print("| figure | target | measured |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-uplink-") as name:
        folder = Path(name)
        broker = Mosquitto(folder / "mosquitto", *BROKER)
        broker.start()
        try:
            _print_rates(folder, broker.port)
            _print_backlog(folder, broker.port)
        finally:
            broker.stop()


def _print_rates(folder: Path, port: int) -> None:
    rate_hz, cpu_ms = _alone(partial(sustained, folder / "1.sqlite3", port, verdicts))
    _print(
        "verdicts from append to acknowledgement", ">= 1000/s", f"{rate_hz:.0f}/s ({cpu_ms:.2f} ms CPU each)"
    )
    rate_hz, cpu_ms = _alone(partial(sustained, folder / "2.sqlite3", port, pairs))
    _print("pairs of verdict and 64 KB crop", ">= 200/s", f"{rate_hz:.0f}/s ({cpu_ms:.2f} ms CPU each)")
    p50_ms, p99_ms = _alone(partial(append_ms, folder / "3.sqlite3", port))
    _print(f"append, p99 at {PACE_HZ:.0f}/s", "< 20 ms", f"{p99_ms:.1f} ms (p50 {p50_ms:.1f})")


def _print_backlog(folder: Path, port: int) -> None:
    path = folder / "4.sqlite3"
    _alone(partial(fill, path))
    opened_s, grown_mb = _alone(partial(opening, path))
    _print(f"memory for {WAITING_ROWS:,} waiting rows", "< 50 MB", f"{grown_mb:.1f} MB")
    _print(f"opening {WAITING_ROWS:,} waiting rows", "< 2 s", f"{opened_s:.2f} s")
    rate_hz, cpu_ms, grown_mb = _alone(partial(drain, path, port))
    _print("drain after an outage", ">= 3000/s", f"{rate_hz:.0f}/s ({cpu_ms:.2f} ms CPU each)")
    _print("memory for draining", "< 50 MB", f"{grown_mb:.1f} MB")


def _alone(measure: Callable[[], _Figure]) -> _Figure:
    """In a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_log_warnings_only) as process:
        return process.submit(measure).result()


def _log_warnings_only() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _print(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def verdicts(sequence: int) -> list[Row]:
    return [verdict(sequence)]


def pairs(sequence: int) -> list[Row]:
    return [verdict(sequence), crop(sequence)]


def sustained(path: Path, port: int, rows_of: Callable[[int], list[Row]]) -> tuple[float, float]:
    """Appends per second when nothing may lie in the outbox for long, and the CPU time of each."""
    one = _connected(path, port)
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    appends = rows = 0
    while time.monotonic() < began_s + SECONDS:
        if rows - one.courier.state.deliveries >= AHEAD:
            time.sleep(0.001)
            continue
        appends += 1
        appended = rows_of(appends)
        one.outbox.append(appended)
        rows += len(appended)
    one.deliver_all()
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_began_s
    one.stop()
    return appends / took_s, cpu_s / appends * 1e3


def append_ms(path: Path, port: int) -> tuple[float, float]:
    """How long an append waits for its commit while rows are delivered: p50 and p99."""
    one = _connected(path, port)
    waits_ms: list[float] = []
    began_s = time.monotonic()
    for number in range(1, round(PACE_HZ * SECONDS) + 1):
        time.sleep(max(0.0, began_s + number / PACE_HZ - time.monotonic()))
        appended_s = time.monotonic()

        def note(_: Future[None], appended_s: float = appended_s) -> None:
            waits_ms.append((time.monotonic() - appended_s) * 1e3)

        one.outbox.append([verdict(number)]).add_done_callback(note)
    one.deliver_all()
    one.stop()
    cuts = statistics.quantiles(waits_ms, n=100)
    return cuts[49], cuts[98]


def fill(path: Path) -> None:
    """An outage long enough."""
    outbox = Outbox(Database(path, clock=SystemClock()))
    outbox.open()
    for first in range(1, WAITING_ROWS, BLOCK_ROWS):
        outbox.append([verdict(number) for number in range(first, first + BLOCK_ROWS)]).result()
    outbox.close()


def opening(path: Path) -> tuple[float, float]:
    """Seconds to open, say the depth and lease the first rows; megabytes that it takes."""
    before_mb, began_s = peak_rss_mb(os.getpid()), time.monotonic()
    outbox = Outbox(Database(path, clock=SystemClock()))
    outbox.open()
    assert outbox.depth().rows == WAITING_ROWS and len(outbox.lease(20)) == 20
    took_s, grown_mb = time.monotonic() - began_s, peak_rss_mb(os.getpid()) - before_mb
    outbox.close()
    return took_s, grown_mb


def drain(path: Path, port: int) -> tuple[float, float, float]:
    """Rows delivered per second from the connection on, the CPU time of each, and megabytes that it takes."""
    before_mb = peak_rss_mb(os.getpid())
    one = _connected(path, port)
    began_s, cpu_began_s, before = time.monotonic(), time.process_time(), one.courier.state.deliveries
    time.sleep(SECONDS)
    rows = one.courier.state.deliveries - before
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_began_s
    one.stop()
    return rows / took_s, cpu_s / rows * 1e3, peak_rss_mb(os.getpid()) - before_mb


def _connected(path: Path, port: int) -> Station:
    one = station(path, mqtt(port))
    one.start()
    eventually(lambda: one.courier.state.connected, "it is connected")
    return one


if __name__ == "__main__":
    main()
