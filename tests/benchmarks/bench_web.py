"""How fast lines pass the web: flat field, windows and tiles at 4096 px mono.

`python -m tests.benchmarks.bench_web` prints one row for each stage: median and best over many windows.
"""

from __future__ import annotations

import itertools
import platform
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from agent.messages import Frame, Pixels
from agent.web.flatfield import FlatField, correct_plain
from agent.web.tiles import cut, plan
from agent.web.windows import Web

WIDTH = 4096
BLOCK_LINES = 128
WINDOW_LINES = 1024
TILE, OVERLAP = 256, 32
WINDOWS = 48  # 200 MB, so that no cache holds the lines before they come


def main() -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    dark = rng.integers(2, 10, (64, WIDTH, 1), dtype=np.uint8)
    white = rng.integers(90, 200, (64, WIDTH, 1), dtype=np.uint8)
    field = FlatField.from_references(dark, white, 8.0)
    webs = rng.integers(0, 256, (WINDOWS, WINDOW_LINES, WIDTH, 1), dtype=np.uint8)
    origins = plan(WINDOW_LINES, WIDTH, TILE, OVERLAP)
    web = Web(WINDOW_LINES)
    pushed = itertools.count()

    def correct(window: Pixels) -> None:
        for top in range(0, WINDOW_LINES, BLOCK_LINES):
            field.correct(window[top : top + BLOCK_LINES])

    def correct_plainly(window: Pixels) -> None:
        for top in range(0, WINDOW_LINES, BLOCK_LINES):
            correct_plain(field, window[top : top + BLOCK_LINES])

    def push(window: Pixels) -> None:
        for top in range(0, WINDOW_LINES, BLOCK_LINES):
            web.push(_block(window[top : top + BLOCK_LINES], next(pushed)))

    def tile(window: Pixels) -> None:
        cut(window, origins, TILE)

    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    print(f"{processor()}, one thread, {versions}")
    print(f"{WIDTH} px mono, blocks of {BLOCK_LINES} lines, windows of {WINDOW_LINES}, {TILE} px tiles")
    stages: dict[str, Callable[[Pixels], None]] = {
        "flat field": correct,
        "flat field, plain twin": correct_plainly,
        "windows": push,
        "tiles": tile,
    }
    for name, stage in stages.items():
        median_s, best_s = timed(stage, webs)
        rates = [webs[0].nbytes / seconds / 1e6 for seconds in (median_s, best_s)]
        klines = WINDOW_LINES / median_s / 1e3
        print(f"{name:<24}{rates[0]:8.0f} MB/s median{rates[1]:8.0f} MB/s best{klines:8.0f} klines/s median")


def timed(stage: Callable[[Pixels], None], webs: Pixels) -> tuple[float, float]:
    """Median and best seconds for one window, after one to warm up; each run has a window of its own."""
    stage(webs[0])
    seconds = []
    for window in webs:
        started = time.perf_counter()
        stage(window)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), min(seconds)


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _block(lines: Pixels, number: int) -> Frame:
    return Frame(
        camera="top",
        frame_id=number,
        image=lines,
        captured_ns=0,
        captured_at=datetime.fromtimestamp(0, timezone.utc),
        first_line=number * BLOCK_LINES,
        encoder=number * BLOCK_LINES,
    )


if __name__ == "__main__":
    main()
