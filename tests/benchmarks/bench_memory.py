"""Resident memory of a running agent with OpenVINO: `python -m tests.benchmarks.bench_memory`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.demo.bench import machine
from tests.brokers import Mosquitto
from tests.e2e.agent_process import AgentProcess

SAMPLES_AT_S = (10, 20, 40, 60)


def main() -> None:
    console = Console()
    where = machine()
    table = Table("after s", "resident MB", "peak MB", title=f"{where['cpu']}, {where['cores']} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "mosquitto")
        broker.start()
        agent = AgentProcess(folder, broker_port=broker.port, line_rate_hz=3000.0, is_warm=False)
        agent.start()
        try:
            started = time.monotonic()
            for at_s in SAMPLES_AT_S:
                time.sleep(max(0.0, at_s - (time.monotonic() - started)))
                table.add_row(str(at_s), f"{agent.resident_mb():.0f}", f"{agent.peak_mb():.0f}")
        finally:
            agent.stop()
            broker.stop()
    console.print(table)


if __name__ == "__main__":
    main()
