"""How late a gate moves behind a running line: `python -m tests.benchmarks.bench_outputs`.

The whole agent judges solar cells of a belt in software with the bundled model. By the threshold of this run
every part fails, and is pushed off by a coil of a PLC, which is a process of its own. The agent publishes how
late its gate answered; the PLC says when the coil was written, and the belt when the part was there: all by
the kernel's one monotonic clock.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from agent.app import build
from agent.clock import SystemClock
from agent.crew import Crew
from agent.demo.cells import load_cells
from agent.messages import Samples
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.camera import GenicamSource
from agent.settings.outputs import EncoderTracking, ModbusGate, Output
from tests.agent.outputs.beltcamera import TICKS_PER_LINE, Line
from tests.agent.outputs.plc import ModbusPlc

BUNDLE = Path(__file__).resolve().parents[2] / "models" / "bundles" / "elpv"
SIDE_PX = 300
GATE, HEARTBEAT = 16, 17
WAY_S = 1.0
WINDOW_S = 0.05


def plc() -> None:
    """The PLC's process: says its port, then at the end of its input each move of the gate's coil, in ns.

    A PLC is a machine of its own: this one comes before all else here, where that is allowed.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    one = ModbusPlc()
    one.start()
    print(one.port, flush=True)
    sys.stdin.read()
    print(json.dumps([at_ns for at_ns, coil, level in one.moved if coil == GATE and level]))


def pictures() -> Sequence[Samples]:
    found = [cell.image for cell in load_cells()[:64]]
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[..., None] for path in found]


def wanted(folder: Path, port: int, line: Line) -> settings.Settings:
    distance = round(WAY_S * line.ticks_per_s)
    output = Output(
        camera="top",
        tracking=EncoderTracking(distance_ticks=distance, window_ticks=round(WINDOW_S * line.ticks_per_s)),
        pulse_ms=20,
        heartbeat_s=0.5,
        fail_safe="pass",
        gate=ModbusGate(host="127.0.0.1", port=port, coil=GATE, heartbeat_coil=HEARTBEAT),
    )
    return settings.Settings(
        bundle=BUNDLE,
        cameras=(camera_settings.Camera(name="top", source=GenicamSource(address="127.0.0.9", scan="line")),),
        judge=settings.Judge(threshold=1e-6),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        mqtt=settings.Mqtt(port=1),
        page=settings.Page(enabled=False),
        outputs=(output,),
    )


def run(parts: int, period_s: float, warm: int) -> list[tuple[str, np.ndarray]]:
    shown = pictures()
    line = Line(
        blocks=parts + warm,
        period_s=period_s,
        bad=(),
        lines=SIDE_PX,
        picture=lambda number, bad: shown[number % len(shown)],
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bench_outputs", "--plc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdin is not None
    port = int(child.stdout.readline())
    with tempfile.TemporaryDirectory() as folder:
        crew = Crew()
        app = build(wanted(Path(folder), port, line), SystemClock(), crew, make=line.make)
        thread = threading.Thread(target=app.run)
        thread.start()
        outputs = app.parts.outputs
        while thread.is_alive() and (line.given < line.blocks or outputs.views()[0]["under_way"] > 12):
            time.sleep(0.1)
        view = outputs.views()[0]
        published = list(outputs._ones[0].account._lately_ms)
        judged = app.parts.board.snapshot().capture_to_recorded
        crew.stop.set()
        thread.join()
    child.stdin.close()
    pushed_ns = json.loads(child.stdout.read())
    child.wait()
    distance = round(WAY_S * line.ticks_per_s)
    true_ns = [line.at_gate_ns(number, distance) for number in range(line.blocks)]
    nearest = np.array(true_ns)[np.abs(np.subtract.outer(pushed_ns, true_ns)).argmin(axis=1)]
    print(f"{len(pushed_ns)} pushes; what became of parts: {view['counts']}; capture to record {judged}")
    return [
        ("gate's answer after the moment, as published", np.array(published[-parts:])),
        ("coil written after the part's true place", (np.array(pushed_ns) - nearest)[warm:] / 1e6),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=500)
    parser.add_argument("--period-s", type=float, default=0.2, help="from part to part")
    parser.add_argument("--plc", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plc:
        plc()
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rows = run(given.parts, given.period_s, warm=20)
    table = Table(title=f"{given.parts} parts, one each {given.period_s:g} s, {TICKS_PER_LINE} ticks a line")
    for head in ("ms", "p50", "p99", "worst", "parts"):
        table.add_column(head, justify="left" if head == "ms" else "right")
    for name, values in rows:
        ordered = np.sort(values)
        p99 = ordered[-(-len(ordered) * 99 // 100) - 1]
        table.add_row(name, f"{np.median(values):.2f}", f"{p99:.2f}", f"{ordered[-1]:.2f}", str(len(values)))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
