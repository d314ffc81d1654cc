"""A 4096 px GigE Vision line camera at 20,000 lines/s: simulator, capture, flat field and tiles.

`python -m tests.benchmarks.bench_gige --seconds 60 --reconnect-seconds 180` prints one table for the stream
and one for reconnects. Every tile is compared with what the simulator showed, by checksum.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import structlog

from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.life import Life, Patience
from agent.cameras.supervisor import Supervisor
from agent.clock import SystemClock
from agent.line.capture import Capture
from agent.line.tiles import cut, plan
from agent.messages import Frame, Pixels
from agent.track.track import Track
from agent.track.windows import Web
from tests.benchmarks.bench_web import OVERLAP, TILE, WIDTH, WINDOW_LINES, processor, reference
from tests.gige.client import source, until_quiet
from tests.gige.process import SimulatedCamera
from tests.gige.webs import noise, shown

WEB_LINES = 2 * WINDOW_LINES
BLOCK_LINES = 128
RING_FRAMES = 156  # a second
RECONNECT_EVERY_S = 5.0
ORIGINS = plan(WINDOW_LINES, WIDTH, TILE, OVERLAP)


@dataclass(slots=True)
class Seen:
    """What came out at the end."""

    windows: int = 0
    lines_lost: int = 0
    wrong: int = 0
    others: list[str] = field(default_factory=list)
    cpu_s: float = 0.0  # of cutting and checking
    cut_s: float = 0.0  # of cutting alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--reconnect-seconds", type=float, default=30.0)
    parser.add_argument("--klines", type=float, default=20.0, help="thousand lines a second")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    cv2.setNumThreads(1)
    print(
        f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.python_version()}"
    )
    arguments = {
        "noise": f"{WIDTH}x{WEB_LINES}",
        "height": BLOCK_LINES,
        "line_rate_hz": given.klines * 1000,
        "blocks": 0,
    }
    with SimulatedCamera(arguments) as simulated:
        stream(simulated, given.seconds)
        reconnects(simulated, given.reconnect_seconds)


def stream(simulated: SimulatedCamera, seconds: float) -> None:
    correction = reference(np.random.default_rng(0), 255)
    web = shown(noise(WIDTH, WEB_LINES, 0), 8)[:, :, np.newaxis]
    expected = [
        checksum(cut(correction.correct(web[top : top + WINDOW_LINES]), ORIGINS, TILE))
        for top in (0, WINDOW_LINES)
    ]
    clock, stop, seen = SystemClock(), threading.Event(), Seen()
    camera = GenicamCamera("top", source(simulated.address, ring_frames=RING_FRAMES), clock)
    capture, started = Capture("accountable", 64), threading.Event()

    def report(state: str, _detail: str) -> None:
        if state == "streaming":
            started.set()

    supervisor = Supervisor(
        name="top",
        make=lambda: camera,
        make_track=lambda: Track(Web(WINDOW_LINES), flat_field=correction, stages=[], joins_blocks=True),
        life=Life(Patience(silence_s=math.inf), random.Random(0)),  # the belt stands at start and end
        ring=capture,
        clock=clock,
        report=report,
    )
    filling = threading.Thread(target=supervisor.run, args=(stop,))
    taking = threading.Thread(target=take, args=(capture, expected, seen))
    filling.start()
    started.wait()
    cpu_s, began_s = time.process_time(), time.monotonic()
    simulated.cue(next_line=0, blocks=None)
    taking.start()
    time.sleep(seconds)
    made = camera.stream()
    cpu_s, lasted_s = time.process_time() - cpu_s, time.monotonic() - began_s
    others_s = seen.cpu_s
    simulated.cue(blocks=0)
    time.sleep(1.0)
    counts = simulated.cue()
    stop.set()
    filling.join()
    taking.join()
    assert made is not None
    given_out = seen.windows * WINDOW_LINES - seen.lines_lost
    # Blocks end where they end: what is missing of the last window is no loss.
    unfinished = seen.windows * WINDOW_LINES - counts.lines
    rows = {
        "lines sent": counts.lines,
        "lines/s": round(counts.lines / lasted_s),
        "lines that arrived": given_out,
        "lines lost": seen.lines_lost - unfinished,
        "windows / tiles": f"{seen.windows} / {seen.windows * len(ORIGINS)}",
        "windows with a wrong tile": seen.wrong,
        "other items": len(seen.others),
        "packets resent": made.statistics["n_resent_packets"],
        "blocks incomplete / missing / without a buffer": " / ".join(
            str(made.statistics[name]) for name in ("n_failures", "n_missing_frames", "n_underruns")
        ),
        "socket": made.socket,
        "capture and flat field, % of one core": f"{100 * (cpu_s - others_s) / lasted_s:.1f}",
        "cutting tiles, % of one core": f"{100 * seen.cut_s / lasted_s:.1f}",
    }
    table(f"{WIDTH} px Mono8 for {lasted_s:.0f} s, blocks of {BLOCK_LINES}, windows of {WINDOW_LINES}", rows)


def take(capture: Capture, expected: list[int], seen: Seen) -> None:
    while not capture.is_finished():
        item = capture.take(0.2)
        began_s = time.thread_time()
        if isinstance(item, Frame):
            tiles = cut(item.image, ORIGINS, TILE)
            seen.cut_s += time.thread_time() - began_s
            seen.windows += 1
            seen.lines_lost += item.lines_lost
            if not item.lines_lost:
                seen.wrong += checksum(tiles) != expected[item.frame_id % 2]
        elif item is not None:
            seen.others.append(item.detail)
            seen.lines_lost += item.lines_lost
        seen.cpu_s += time.thread_time() - began_s


def reconnects(simulated: SimulatedCamera, seconds: float) -> None:
    camera = GenicamCamera("top", source(simulated.address, ring_frames=RING_FRAMES), SystemClock())
    ends_s = time.monotonic() + seconds
    sizes_mb, given_out, lost, first = [], 0, 0, None
    before = simulated.cue(blocks=None)
    while time.monotonic() < ends_s:
        camera.open()
        cycle_ends_s = time.monotonic() + RECONNECT_EVERY_S
        while time.monotonic() < cycle_ends_s:
            item = camera.grab(0.2)
            if isinstance(item, Frame):
                first = item.first_line if first is None else first
                given_out += len(item.image)
                lost += item.lines_lost
        item = None
        camera.close()
        sizes_mb.append(resident_mb())
    simulated.cue(blocks=5)
    camera.open()
    for rest in until_quiet(camera):
        if isinstance(rest, Frame):
            given_out += len(rest.image)
            lost += rest.lines_lost
    camera.close()
    sent = simulated.cue().lines - before.lines
    settled = sizes_mb[1:] or sizes_mb
    rows = {
        "reconnects": len(sizes_mb),
        "lines sent": sent,
        "lines that arrived": given_out,
        "lines said to be lost": lost,
        "unaccounted": sent - given_out - lost - ((first or 0) - before.lines),
        "resident MB, lowest to highest after the second": f"{min(settled):.0f} to {max(settled):.0f}",
    }
    table(f"a reconnect every {RECONNECT_EVERY_S:.0f} s for {seconds:.0f} s", rows)


def checksum(tiles: Pixels) -> int:
    return zlib.crc32(tiles.data)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def table(title: str, rows: dict[str, object]) -> None:
    print(f"\n| {title} | |\n| --- | ---: |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
