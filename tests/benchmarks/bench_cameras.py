"""Cameras that come and go: `python -m tests.benchmarks.bench_cameras`.

How soon a camera is back, what many losses leave behind, what supervision costs for each frame, and what
crosses the process border of a GenTL camera (TLSimu, where it is installed).
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.cameras.gentl.camera import HarvestersCamera
from agent.cameras.life import Patience, Pauses
from agent.clock import SystemClock
from agent.messages import Frame
from agent.settings.camera import HarvestersSource
from tests.agent.cameras.scripted import GONE, Plant
from tests.agent.cameras.watched import Watched, watched_camera

Row = tuple[str, str]


def resident_mb() -> float:
    gc.collect()
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def returns(rounds: int) -> list[Row]:
    """From the moment a camera could be had again to its first frame, with the shipped pauses."""
    plant, seconds = Plant(), []
    with watched_camera(plant.connect) as one:
        one.frames_reach(3)
        for number in range(rounds):
            plant.error = GONE
            one.reaches("lost")
            time.sleep(2.0 + 0.37 * number)
            plant.error, began = None, time.monotonic()
            one.reaches("streaming")
            seconds.append(time.monotonic() - began)
            one.frames_go_on()
    return [(f"back after its return, longest of {rounds}, s", f"{max(seconds):.2f}")]


def losses(rounds: int) -> list[Row]:
    """Memory, threads and file handles before and after many losses."""
    plant = Plant(period_s=0.001)
    with watched_camera(plant.connect, Patience(), Pauses(first_s=0.002, longest_s=0.004)) as one:
        one.frames_reach(1)
        lose(one, plant, 50)
        before_mb, threads, files = resident_mb(), threading.active_count(), handles()
        lose(one, plant, rounds)
        time.sleep(0.2)
        grown = resident_mb() - before_mb
        more_threads, more_files = threading.active_count() - threads, handles() - files
    counts = one.supervisor.counts()
    assert counts.reconnects == counts.losses == rounds + 50
    return [
        (f"after {rounds} losses: memory, MB more", f"{grown:.1f}"),
        ("threads more", str(more_threads)),
        ("file handles more", str(more_files)),
    ]


def lose(one: Watched, plant: Plant, rounds: int) -> None:
    for _ in range(rounds):
        plant.error = GONE
        one.reaches("lost")
        plant.error = None
        one.reaches("streaming")
        plant.connections[:] = plant.connections[-2:]
        one.items.clear()


def each_frame(seconds: float) -> list[Row]:
    """Processor time of camera thread, rules and ring for a frame that costs nothing to grab."""
    plant = Plant(period_s=0.0)
    with watched_camera(plant.connect) as one:
        one.frames_reach(10)
        began, used, frames = time.monotonic(), time.process_time(), one.supervisor.counts().frames
        while time.monotonic() - began < seconds:
            time.sleep(0.05)
        used, frames = time.process_time() - used, one.supervisor.counts().frames - frames
    return [("supervision, processor time a frame, µs", f"{used / frames * 1e6:.0f}")]


def harvesters(seconds: float, rounds: int) -> list[Row]:
    """Frames a second through shared memory, torn ones, and the time from a kill to the next frame."""
    spec = find_spec("genicam")
    producer = Path(spec.origin).parent / "TLSimu.cti" if spec and spec.origin else None
    if producer is None or not producer.exists():
        return [("GenTL", "not measured: install plumbline[genicam]")]
    source = HarvestersSource(producer=producer, device="SN_InterfaceA_0", buffers=32)
    cameras: list[HarvestersCamera] = []

    def make() -> HarvestersCamera:
        cameras.append(HarvestersCamera("top", source, SystemClock()))
        return cameras[-1]

    with watched_camera(make) as one:
        one.frames_reach(5)
        began, frames = time.monotonic(), len(one.items)
        time.sleep(seconds)
        rate_hz = (len(one.items) - frames) / (time.monotonic() - began)
        faults = sum(not isinstance(item, Frame) for item in one.items)
        kills = [time_to_frame(one, lambda: kill(cameras[-1])) for _ in range(rounds)]
    torn = one.supervisor.counts().driver.get("torn", 0)
    return [
        ("GenTL, 512 x 512 mono through shared memory, frames/s", f"{rate_hz:.0f}"),
        ("of which without picture, torn", f"{faults}, {torn}"),
        (f"its process killed: next frame after, longest of {rounds}, s", f"{max(kills):.2f}"),
    ]


def kill(camera: HarvestersCamera) -> None:
    assert camera._process is not None
    os.kill(camera._process.pid, signal.SIGKILL)


def time_to_frame(one: Watched, harm: Callable[[], None]) -> float:
    epoch, began = one.supervisor.counts().epoch, time.monotonic()
    harm()
    while one.supervisor.counts().epoch == epoch:
        time.sleep(0.005)
    one.frames_go_on()
    return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--losses", type=int, default=1000)
    wanted = parser.parse_args()
    table = Table("cameras", "measured")
    for row in (
        *returns(8),
        *losses(wanted.losses),
        *each_frame(wanted.seconds),
        *harvesters(wanted.seconds, 5),
    ):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
