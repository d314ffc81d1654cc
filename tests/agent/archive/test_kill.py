"""A process that is killed while it writes, marks and lets go leaves whole entries and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.archive import files
from agent.archive.index import Query
from agent.archive.shelf import Shelf
from agent.clock import ManualClock
from tests.agent.archive.busy_shelf import MAX_BYTES
from tests.agent.archive.records import MORNING, limits

ROOT = Path(__file__).parents[3]
KILLS = 6


@pytest.mark.slow
def test_killed_again_and_again_it_keeps_whole_entries_within_its_bounds(tmp_path: Path) -> None:
    rng = random.Random(0)
    for turn in range(KILLS):
        command = [
            sys.executable,
            "-m",
            "tests.agent.archive.busy_shelf",
            str(tmp_path),
            str(1 + turn * 100_000),
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and b"archive_open" in process.stdout.readline()
            time.sleep(rng.uniform(0.2, 0.7))  # the moment is chance
            assert process.poll() is None
            process.kill()
        parts = list(tmp_path.glob("*/.*.part"))
        shelf = Shelf(tmp_path, limits(max_bytes=MAX_BYTES), clock=ManualClock(MORNING))
        opened = shelf.open()
        assert opened.torn == 0 and opened.foreign == ()
        assert not [part for part in parts if part.exists()]
        found = shelf.find(Query(limit=10_000))
        assert {one.head.id for one in found} == {file.id for file in files.scan(tmp_path)}
        assert len(found) > 5
        for one in found:
            assert shelf.read(one.head.id).mark == one.head.mark
        assert shelf.size_bytes <= MAX_BYTES + 100_000  # what the index grew by since room was made
        shelf.close()
