"""A process killed at any moment leaves a gap-free beginning of what it appended, and all it announced."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.chain.report import verify
from agent.clock import SystemClock
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox

KILLS = 10
ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_ten_kills_leave_no_gap_and_lose_nothing_that_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    rng = random.Random(7)
    for _ in range(KILLS):
        announced = appended_until_killed(path, rng)
        outbox = Outbox(Database(path, clock=SystemClock()))
        outbox.open()
        try:
            left = [waiting.row.sequence for waiting in outbox.lease(1_000_000, kinds=["verdict"])]
            last = outbox.last_sequence()
        finally:
            outbox.close()
        assert last >= announced > 0
        assert verify(path).first_break is None
        assert left == list(range(last - len(left) + 1, last + 1))


def appended_until_killed(path: Path, rng: random.Random) -> int:
    """Let a child append until it is killed; the last sequence that it announced."""
    command = [sys.executable, "-m", "tests.agent.outbox.appending", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(rng.randrange(5, 200)):
            announced = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        # A line cut short by the kill was written by nobody who waited for it.
        for line in child.stdout:
            announced = line if line.endswith("\n") else announced
    return int(announced)
