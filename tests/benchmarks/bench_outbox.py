"""How many verdicts the outbox commits each second here: `python -m tests.benchmarks.bench_outbox`."""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.clock import SystemClock
from agent.contract.row import Row
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox

VERDICT_BYTES = 1500
CROP_BYTES = 64_000
CROP_SHA256 = hashlib.sha256(b"c" * CROP_BYTES).hexdigest()  # the line has it for its verdict
SECONDS = 4.0


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-outbox-") as name:
        folder = Path(name)
        fsyncs_ms = measure_fsync(folder / "fsync", SECONDS / 2)
        table = Table("append", "rows/s", "wait p50 ms", "wait p99 ms")
        for title, run in (
            ("verdicts, a stream", stream_of_verdicts),
            ("verdicts, one at a time", verdicts_alone),
            ("verdict with 64 KB crop, a stream", stream_of_pairs),
        ):
            rate, waits_ms = measure(folder / f"{len(table.rows)}.sqlite3", run)
            table.add_row(title, f"{rate:.0f}", *percentiles(waits_ms))
    console = Console()
    console.print(f"{cpu_model()}, {os.cpu_count()} cores")
    console.print("fsync of a file grown by 4 KiB: p50 {} ms, p99 {} ms".format(*percentiles(fsyncs_ms)))
    console.print(table)


def measure(path: Path, run: Callable[[Outbox, list[float]], int]) -> tuple[float, list[float]]:
    """Rows per second, all committed, and how long each append waited for its commit."""
    outbox = Outbox(Database(path, clock=SystemClock()))
    outbox.open()
    waits_ms: list[float] = []
    began_s = time.perf_counter()
    rows = run(outbox, waits_ms)
    outbox.close()
    return rows / (time.perf_counter() - began_s), waits_ms


def stream_of_verdicts(outbox: Outbox, waits_ms: list[float]) -> int:
    return stream(outbox, waits_ms, lambda sequence: [verdict(sequence)])


def stream_of_pairs(outbox: Outbox, waits_ms: list[float]) -> int:
    return stream(outbox, waits_ms, lambda sequence: [verdict(sequence), crop(sequence)])


def stream(outbox: Outbox, waits_ms: list[float], rows_of: Callable[[int], list[Row]]) -> int:
    """Append without waiting; the outbox's own limit of waiting appends holds us back."""
    ends_s = time.perf_counter() + SECONDS
    rows = sequence = 0
    while time.perf_counter() < ends_s:
        sequence += 1
        appended = rows_of(sequence)
        began_s = time.perf_counter()

        def note(_: Future[None], began_s: float = began_s) -> None:
            waits_ms.append((time.perf_counter() - began_s) * 1e3)

        outbox.append(appended).add_done_callback(note)
        rows += len(appended)
    return rows


def verdicts_alone(outbox: Outbox, waits_ms: list[float]) -> int:
    ends_s = time.perf_counter() + SECONDS
    sequence = 0
    while time.perf_counter() < ends_s:
        sequence += 1
        began_s = time.perf_counter()
        outbox.append([verdict(sequence)]).result()
        waits_ms.append((time.perf_counter() - began_s) * 1e3)
    return sequence


def verdict(sequence: int) -> Row:
    return Row(
        id=f"v{sequence}",
        kind="verdict",
        topic="plumbline/v1/site/area/line/station/verdict/top",
        payload=b"v" * VERDICT_BYTES,
        content_type="application/json",
        sequence=sequence,
    )


def crop(number: int) -> Row:
    return Row(
        id=f"c{number}",
        kind="crop",
        topic="plumbline/v1/site/area/line/station/crop/top",
        payload=b"c" * CROP_BYTES,
        content_type="image/jpeg",
        properties=(("crop_id", f"c{number}"), ("defect_index", "0"), ("sha256", CROP_SHA256)),
    )


def measure_fsync(path: Path, seconds: float) -> list[float]:
    took_ms: list[float] = []
    ends_s = time.perf_counter() + seconds
    with path.open("wb") as file:
        while time.perf_counter() < ends_s:
            file.write(b"x" * 4096)
            file.flush()
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            took_ms.append((time.perf_counter() - began_s) * 1e3)
    return took_ms


def percentiles(values: list[float]) -> tuple[str, str]:
    cuts = statistics.quantiles(values, n=100)
    return f"{cuts[49]:.2f}", f"{cuts[98]:.2f}"


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
