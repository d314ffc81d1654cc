"""A process that is killed while it decides parts: each view is named once, no number is missing."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from agent.contract.verdict import Verdict
from agent.outbox.file import connect_to_read
from tests.agent.parts.busy_parts import RULE
from tests.agent.parts.station import Station, told_in
from tests.brokers import eventually

ROOT = Path(__file__).parents[3]
KILLS = 6


@pytest.mark.slow
def test_killed_again_and_again_every_view_is_named_by_exactly_one_part(tmp_path: Path) -> None:
    rng, recorded = random.Random(0), 0
    for turn in range(KILLS):
        command = [sys.executable, "-m", "tests.agent.parts.busy_parts", str(tmp_path), str(turn)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("recorded"), "it ended by itself"
            time.sleep(rng.uniform(0.1, 1.0))  # the moment is chance
            assert process.poll() is None
            process.kill()
            rest = [line, *process.stdout.read().splitlines()]
        recorded = max(int(one.split()[1]) for one in rest if one.endswith("."))
    station, stop = Station(tmp_path, [RULE], boot_id="last").open(), threading.Event()
    thread = threading.Thread(target=station.parts.run, args=(stop,))
    thread.start()
    path = station.outbox.path
    last = station.outbox.last_sequence()
    assert last >= recorded
    eventually(lambda: sum(len(one.views) for one in told_in(path)) >= last, "all are decided")
    stop.set()
    thread.join()
    station.close()
    told, views = told_in(path), verdicts_in(path)
    assert [one.sequence for one in told] == [*range(1, len(told) + 1)]
    named = Counter(view.result_id for part in told for view in part.views)
    assert named == Counter(views.keys())
    whole = Counter((view.part_id, view.camera) for view in views.values())
    for part in told:
        seen = [views[view.result_id] for view in part.views]
        assert len({one.part_id for one in seen}) == 1 and part.missing == tuple(
            camera for camera in RULE.cameras if camera not in {one.camera for one in seen}
        )
        if part.verdict == "pass":
            assert {one.verdict for one in seen} == {"pass"} and len(seen) == len(RULE.cameras)
    passes = [part for part in told if part.verdict == "pass"]
    assert len(passes) > 10 and max(whole.values()) == 1


def verdicts_in(path: Path) -> dict[str, Verdict]:
    database = connect_to_read(path)
    try:
        rows = database.execute("SELECT payload FROM record WHERE class = 0").fetchall()
    finally:
        database.close()
    found = [Verdict.model_validate_json(row) for (row,) in rows]
    return {one.result_id: one for one in found}
