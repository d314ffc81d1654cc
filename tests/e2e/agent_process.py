"""The agent as its own process, on solar cells from the sample set."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from agent.demo.cells import load_cells
from agent.demo.demo import SAMPLE_BUNDLE, choose_cells
from tests import warm
from tests.agent.cli.calling import environment
from tests.brokers import HOST, eventually, free_port

STATION = "plumbline/v1/test/cells/line1/top1"
END_TIMEOUT_S = 60
PROOF_S = 600.0  # what proves, replays or explains takes what processor nobody else wants

# Says at the end what a device must never have imported.
ENTRY = """
import sys
from agent.cli.main import main
try:
    main()
finally:
    print("torch imported:", "torch" in sys.modules, flush=True)
"""


class AgentProcess:
    """`plumbline run` with a simulated line camera; stopped as systemd would stop it."""

    def __init__(
        self,
        folder: Path,
        *,
        broker_port: int,
        station: str = "top1",
        cells: int = 24,
        line_rate_hz: float = 900.0,
        bundle: Path = SAMPLE_BUNDLE,
        entry: str = ENTRY,
        is_warm: bool = True,
    ) -> None:
        """`entry` is the program that runs the agent; one that is not warm imports all of it for itself."""
        self._entry = entry
        self._is_warm = is_warm
        self.page_port = free_port()
        self._folder = folder
        self._log = folder / "agent.log"
        self._process: subprocess.Popen[bytes] | warm.Process | None = None
        frames = folder / "frames"
        frames.mkdir()
        for index, cell in enumerate(choose_cells(load_cells())[:cells]):
            shutil.copyfile(cell.image, frames / f"part{index:03}.png")
        self.settings = {
            "version": 1,
            "identity": {"site": "test", "area": "cells", "line": "line1", "station": station},
            "bundle": str(bundle),
            "cameras": [
                {
                    "name": "top",
                    "source": {
                        "kind": "linescan-sim",
                        "path": str(frames),
                        "line_rate_hz": line_rate_hz,
                        "height": 128,
                        "lose_every_blocks": 17,
                        "lose_lines": 5,
                    },
                    "web": {"window_lines": 300},
                }
            ],
            "outbox": {"path": str(folder / "outbox.sqlite3")},
            "mqtt": {"host": HOST, "port": broker_port},
            "page": {"port": self.page_port},
        }

    def start(self, **variables: str) -> None:
        words = ("-c", self._entry, "run", "-c", str(self.write_settings()))
        around = environment() | variables
        with self._log.open("ab") as log:
            if self._is_warm:
                self._process = warm.start(words, output=log, errors=log, environment=around)
                return
            self._process = subprocess.Popen(
                [sys.executable, *words],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=around,
            )

    def write_settings(self) -> Path:
        file = self._folder / "agent.yaml"
        file.write_text(yaml.safe_dump(self.settings))
        return file

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Until it has ended by itself; the exit code."""
        assert self._process is not None
        return self._process.wait(END_TIMEOUT_S)

    def thread(self, name: str) -> int:
        """The number that Linux has for a thread, by the first 15 characters of its name."""
        assert self._process is not None
        tasks = Path(f"/proc/{self._process.pid}/task")
        found: list[int] = []

        def is_there() -> bool:
            found.extend(
                int(one.name) for one in tasks.iterdir() if (one / "comm").read_text().strip() == name[:15]
            )
            return bool(found)

        eventually(is_there, f"thread {name}")
        return found[0]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(END_TIMEOUT_S)
        self._process = None
        return code

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_TIMEOUT_S)
            self._process = None

    @property
    def pid(self) -> int | None:
        """None while there is no process."""
        process = self._process
        return None if process is None else process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def limit_files(self, most: int) -> None:
        """As `LimitNOFILE=` of a systemd unit does."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (most, most))

    def open_files(self) -> int:
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def resident_mb(self) -> float:
        return self._memory_mb("VmRSS")

    def peak_mb(self) -> float:
        return self._memory_mb("VmHWM")

    def log(self) -> str:
        return self._log.read_text()

    def _memory_mb(self, key: str) -> float:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(key))
        return int(line.split()[1]) / 1024
