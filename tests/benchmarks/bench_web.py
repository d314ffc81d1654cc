"""How fast lines pass the web at 4096 px: flat field, belt, colour rows, aspect, windows, parts, tiles.

`python -m tests.benchmarks.bench_web` prints one row for each stage, beside its plain twin: median and best
of many windows. With the AITEX strips in ../shared/data it prints what is left of their fixed pattern.
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

from agent.line.tiles import cut, plan
from agent.messages import Frame, Samples
from agent.track.aspect import Aspect, resampled_plain, source_of
from agent.track.belt import Clocked, Triggered
from agent.track.colour import ColourShift, shifted_plain
from agent.track.flatfield import FlatField, correct_plain, flat_field
from agent.track.gate import Gate
from agent.track.parts import Parts
from agent.track.windows import Web
from tests.agent.track.strips import AITEX, fixed_pattern

WIDTH = 4096
BLOCK_LINES = 128
WINDOW_LINES = 1024
TILE, OVERLAP = 256, 32
WINDOWS = 24  # 100 MB, so that no cache holds the lines before they come

Stage = Callable[[Samples], object]


def main() -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    mono = rng.integers(0, 256, (WINDOWS, WINDOW_LINES, WIDTH, 1), dtype=np.uint8)
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    print(f"{processor()}, one thread, {versions}")
    print(f"{WIDTH} px, blocks of {BLOCK_LINES} lines, windows of {WINDOW_LINES}, {TILE} px tiles")
    field = reference(rng, 255)
    web, parts = (
        Web(WINDOW_LINES),
        Parts(Gate(from_px=0, to_px=64, on=0.4, off=0.3), max_lines=8192, ticks_per_line=1.0),
    )
    origins = plan(WINDOW_LINES, WIDTH, TILE, OVERLAP)
    report("flat field, 8 bits", by_block(field.correct), mono)
    report("  plain twin", by_block(lambda block: correct_plain(field, block)), mono[:4])
    report("belt, triggered lines", pushed(Triggered(1.0).push), mono)
    report("belt, clocked lines", pushed(Clocked(1.0).push), mono)
    report("aspect, x 1.3", pushed(Aspect(1.3, 1.0).push), mono)
    positions = source_of(np.arange(int(BLOCK_LINES * 1.3)), 1.3).clip(0, BLOCK_LINES - 1)
    report("  plain twin", by_block(lambda block: resampled_plain(block, positions)), mono[:4])
    report("windows", pushed(web.push), mono)
    report("parts by the image gate", pushed(parts.push), mono)
    report("tiles", lambda window: cut(window, origins, TILE), mono)  # type: ignore[arg-type]
    deep = rng.integers(0, 4096, (WINDOWS // 2, WINDOW_LINES, WIDTH, 1)).astype(np.uint16)
    deep_field = reference(rng, 4095)
    report("flat field, 12 bits", by_block(lambda block: deep_field.correct(block, 12)), deep)
    report("  plain twin", by_block(lambda block: correct_plain(deep_field, block)), deep[:4])
    del deep
    rgb = rng.integers(0, 256, (WINDOWS // 3, WINDOW_LINES, WIDTH, 3), dtype=np.uint8)
    report("colour rows, 3.5 lines", pushed(ColourShift(3.5, 1.0).push), rgb)
    report("  plain twin", by_block(lambda block: shifted_plain(block, 3.5)), rgb[:2])
    if AITEX.exists():
        print("\nAITEX: spread of column means of good test strips, calibrated on good training strips")
        for fabric in ("fabric00", "fabric06"):
            before, after = fixed_pattern(fabric)
            print(f"{fabric}: {before:.4f} before, {after:.4f} after, {before / after:.1f} times less")


def reference(rng: np.random.Generator, full: int) -> FlatField:
    """A vignetted, uneven sensor."""
    dark = rng.integers(2, 10, (WIDTH, 1)).astype(np.float32)
    white = rng.uniform(0.35 * full, 0.8 * full, (WIDTH, 1)).astype(np.float32)
    return flat_field(dark, white, max_gain=8.0, bit_depth=full.bit_length())


def by_block(correct: Stage) -> Stage:
    """A window as the blocks that a camera gives."""

    def stage(window: Samples) -> None:
        for top in range(0, WINDOW_LINES, BLOCK_LINES):
            correct(window[top : top + BLOCK_LINES])

    return stage


def pushed(push: Callable[[Frame], object]) -> Stage:
    """The same for a step with a memory: blocks follow each other."""
    count = itertools.count()
    return by_block(lambda block: push(_block(block, next(count))))


def report(name: str, stage: Stage, windows: Samples) -> None:
    median_s, best_s = timed(stage, windows)
    rates = [windows[0].nbytes / seconds / 1e6 for seconds in (median_s, best_s)]
    klines = WINDOW_LINES / median_s / 1e3
    print(f"{name:<26}{rates[0]:8.0f} MB/s median{rates[1]:8.0f} MB/s best{klines:8.1f} klines/s median")


def timed(stage: Stage, webs: Samples) -> tuple[float, float]:
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


def _block(lines: Samples, number: int) -> Frame:
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
