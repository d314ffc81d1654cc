"""What an independent consumer of the verdicts has: the one that is given to customers, with its database."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.brokers import eventually
from tests.system.box import Box

CONSUMER = Path(__file__).parents[2] / "deploy/mes/consumer.py"


class Ledger:
    """Of one station. It runs outside, in the network of a box; the broker in there keeps its session."""

    def __init__(self, folder: Path, station: str) -> None:
        self._station = station
        self._database = folder / "verdicts.sqlite3"
        self._log = folder / "consumer.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, box: Box) -> None:
        said = self._heard()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*box.entering("-n"), sys.executable, CONSUMER, "run", "--database", self._address()],
                stderr=log,
            )
        eventually(lambda: self._heard() > said, "the consumer listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def numbers(self) -> list[int]:
        """The sequence numbers in the order in which they came."""
        return [
            int(row[0])
            for row in self._ask("SELECT sequence FROM verdicts WHERE station = ? ORDER BY arrival")
        ]

    def last(self) -> int:
        return max(self.numbers(), default=0)

    def boots(self) -> int:
        """How many runs of the agent they came from."""
        return int(self._ask("SELECT COUNT(DISTINCT boot_id) FROM verdicts WHERE station = ?")[0][0])

    def revision(self) -> int:
        """Of the settings that the newest verdict was made with."""
        [body], *_ = self._ask("SELECT body FROM verdicts WHERE station = ? ORDER BY sequence DESC LIMIT 1")
        return int(json.loads(body)["settings"]["version"])

    def wait_for(self, number: int, timeout_s: float = 60.0) -> None:
        eventually(lambda: self.last() >= number, f"verdict {number} after {self.last()}", timeout_s)

    def grows(self, by: int = 3) -> None:
        """New verdicts come."""
        self.wait_for(self.last() + by)

    def check(self) -> None:
        """Every number from 1 on is there, and the consumer's own report finds no gap."""
        numbers = sorted(self.numbers())
        assert numbers == list(range(1, len(numbers) + 1))
        report = subprocess.run(
            [sys.executable, CONSUMER, "gaps", "--database", self._address()],
            capture_output=True,
            text=True,
            check=False,
        )
        assert re.search(r"^0 gaps in \d+ stations$", report.stdout, re.M), report.stdout + report.stderr

    def _address(self) -> str:
        return f"sqlite:///{self._database}"

    def _heard(self) -> int:
        return self._log.read_text().count("listening to") if self._log.exists() else 0

    def _ask(self, question: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            return database.execute(question, (self._station,)).fetchall()
