"""What the agent's process takes, looked at again and again: memory, threads, file handles."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType

import httpx

from tests import plain_http

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


class Watch:
    """Within the `with` a thread looks every so often, and has the page's views made as others would."""

    def __init__(
        self, *, pid: Callable[[], int | None], elapsed_s: Callable[[], float], every_s: float, page_port: int
    ) -> None:
        self.samples: list[Sample] = []
        self._pid = pid
        self._elapsed_s = elapsed_s
        self._every_s = every_s
        self._page = f"http://127.0.0.1:{page_port}"
        self._lives: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + self._every_s, time.monotonic())
            with suppress(OSError, KeyError):
                self._sample()
            with suppress(httpx.HTTPError):
                for view in VIEWS:
                    plain_http.get(f"{self._page}/{view}", timeout=5)

    def _sample(self) -> None:
        pid = self._pid()
        if pid is None:
            return
        rss_mb, threads, handles = look(pid)
        if not self._lives or self._lives[-1] != pid:
            self._lives.append(pid)
        self.samples.append(
            Sample(
                at_s=self._elapsed_s(),
                life=len(self._lives) - 1,
                rss_mb=rss_mb,
                threads=threads,
                handles=handles,
            )
        )


def keep(path: Path, samples: Iterable[Sample]) -> None:
    """As CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in samples)
