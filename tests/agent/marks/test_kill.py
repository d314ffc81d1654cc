"""A process that is killed while it marks and follows up loses no mark that was answered."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.marks.file import Wanted
from tests.agent.marks.busy_marks import FRAMES
from tests.agent.marks.said import station

ROOT = Path(__file__).parents[3]
KILLS = 5


@pytest.mark.slow
def test_killed_again_and_again_it_loses_no_mark_that_was_answered(tmp_path: Path) -> None:
    rng, answered = random.Random(0), 0
    for turn in range(KILLS):
        command = [sys.executable, "-m", "tests.agent.marks.busy_marks", str(tmp_path), str(turn)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = ""
            while not line.startswith("marked"):
                line = process.stdout.readline()
                assert line, "it ended by itself"
            time.sleep(rng.uniform(0.05, 0.5))  # the moment is chance
            assert process.poll() is None
            process.kill()
            rest = [line, *process.stdout.read().splitlines()]
        answered = max(int(one.split()[1]) for one in rest if one.startswith("marked") and one.endswith("."))
        with station(tmp_path) as said:
            every = said.marks.file.find(Wanted(history=True)).marks
            assert [one.sequence for one in every] == [*range(len(every), 0, -1)]
            assert len(every) >= answered
            said.follow()
            told = said.told()
            assert len(told) == len({*told}) == len(every)
            holds = {one.result_id: one for one in said.marks.file.find(Wanted()).marks}
            for number in range(1, FRAMES + 1):
                kept = said.shelf.read(f"01900000-0000-7000-8000-{number:012d}")
                assert (kept.mark is None) == (kept.verdict.result_id not in holds)
