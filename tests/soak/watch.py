"""What the agent's process takes, looked at again and again: memory, threads, file handles."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import httpx

from tests import plain_http
from tests.beside import beside

VIEWS = ("metrics", "api/views/live")  # what a Prometheus and an open browser ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`life` counts the agent's processes from 0 on."""

    at_s: float  # of the real clock, since the day began
    life: int
    rss_mb: float
    threads: int
    handles: int


def look(pid: int) -> tuple[float, int, int]:
    """Resident memory in MB, threads, file handles. Raises OSError or KeyError where it has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    said = dict(line.split(":", 1) for line in status.splitlines())
    handles = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(said["VmRSS"].split()[0]) / 1024, int(said["Threads"]), handles


@contextmanager
def watched(
    *, pid: Callable[[], int | None], elapsed_s: Callable[[], float], every_s: float, page_port: int
) -> Iterator[list[Sample]]:
    """Within the `with` a thread looks every so often, and has the page's views made as others would."""
    samples: list[Sample] = []
    lives: list[int] = []

    def sample() -> None:
        if (now := pid()) is None:
            return
        rss_mb, threads, handles = look(now)
        if not lives or lives[-1] != now:
            lives.append(now)
        samples.append(
            Sample(at_s=elapsed_s(), life=len(lives) - 1, rss_mb=rss_mb, threads=threads, handles=handles)
        )

    def run(ended: threading.Event) -> None:
        due_s = time.monotonic()
        while not ended.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + every_s, time.monotonic())
            with suppress(OSError, KeyError):
                sample()
            with suppress(httpx.HTTPError):
                for view in VIEWS:
                    plain_http.get(f"http://127.0.0.1:{page_port}/{view}", timeout=5)

    with beside("watch", run):
        yield samples


def keep(path: Path, samples: Iterable[Sample]) -> None:
    """As CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in samples)
