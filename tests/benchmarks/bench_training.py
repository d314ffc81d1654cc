"""Training pictures per second and peak memory of every method, preset and student: one process each.

    python -m tests.benchmarks.bench_training [--steps N]

Made-up data (tests/models/tiny.py), so that nothing has to be fetched; the paper presets need a GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.demo.bench import machine
from models.methods import METHODS
from models.training.fit import Cost, read_cost
from models.training.plans import STUDENTS, TEACHERS
from tests.models.tiny import write_tiny


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    steps = parser.parse_args().steps
    where = machine()
    table = Table(
        "preset",
        "what",
        "pictures/s",
        "peak MB",
        title=f"{where['cpu']}, {where['cores']} cores, {steps} steps",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_tiny(folder / "tiny")
        for preset in ("nano", "edge"):
            for method in METHODS:
                teacher = folder / f"{preset}-{method}"
                images = steps * TEACHERS[method, preset].batch
                lab("train", method, "--data", data, "--preset", preset, "--out", teacher, "--images", images)
                row(table, preset, method, read_cost(teacher))
            student = folder / f"{preset}-student"
            images = steps * STUDENTS[preset].batch
            teacher = folder / f"{preset}-decodiff"
            lab("distill", teacher, "--data", data, "--out", student, "--images", images, "--accept-worse")
            row(table, preset, "student", read_cost(student))
    Console().print(table)


def lab(*arguments: object) -> None:
    command = [sys.executable, "-m", "models", *(str(one) for one in arguments)]
    subprocess.run(command, check=True, capture_output=True)


def row(table: Table, preset: str, what: str, cost: Cost) -> None:
    table.add_row(preset, what, f"{cost.images / cost.seconds:.0f}", f"{cost.peak_memory_bytes / 2**20:.0f}")


if __name__ == "__main__":
    main()
