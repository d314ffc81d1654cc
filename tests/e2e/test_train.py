"""The real workshop, with the smallest numbers, by the command: interrupted, gone on with, and promised."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agent.bundle.bundle import open_bundle
from agent.demo.demo import SAMPLE_BUNDLE
from models.data.threshold import calibrate
from tests.agent.teach.workshops import LAUNCH
from tests.brokers import eventually
from tests.models.teaching.pictures import folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PICTURES = 320
TINY = f"""#!{sys.executable}
import sys
from models.judging import standing, yardstick
from models.student import finish
from models.teaching import plan
standing.PAIRS = yardstick.PAIRS = 8  # a small memory of good parts: what it ranks is not the point
yardstick.KEPT, finish.BATCH_NORM_BATCHES = 40, 8
plan.FEWEST.update(nano={PICTURES})
plan.MOST.update(nano={PICTURES})
from models.cli.main import main
main()
"""
# The program of these few pictures, without the low priority by which it waits for as long as others compute.
ENTRY = """
import sys
from functools import partial
from pathlib import Path
from agent.teach import workshop
program = Path(sys.argv.pop(1))
workshop.find = lambda: program
workshop.train = partial(workshop.train, launch={launch!r})
from agent.cli.main import main
main()
"""


def teach(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    program = tmp_path / "plumbline-lab"
    program.write_text(TINY)
    program.chmod(0o755)
    asked = ["teach", "-c", tmp_path / "agent.yaml", "--product", "weave", "--from", tmp_path / "good"]
    asked += ["--parts", "60", "--target-frr", "0.05", "--flagged", "keep", "--until", "threshold"]
    asked += ["--train", "nano", "--minutes", "600", *words]
    return subprocess.Popen(
        [sys.executable, "-c", ENTRY.format(launch=LAUNCH), str(program), *map(str, asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sixty_good_parts_become_a_bundle_whose_threshold_parts_that_trained_nothing_set(
    tmp_path: Path,
) -> None:
    folder(tmp_path / "good", plain=True, bad=0)
    camera: dict[str, Any] = {"name": "top", "source": {"kind": "folder", "path": str(tmp_path / "good")}}
    content = {"version": 1, "bundle": str(SAMPLE_BUNDLE), "cameras": [camera]}
    content["outbox"] = {"path": str(tmp_path / "outbox.sqlite3")}
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(content))
    with teach(tmp_path) as first:
        taught = "teach/weave/trained-*/teacher/weights.pt"
        eventually(lambda: any(tmp_path.glob(taught)), "the teacher is trained", 200)
        first.terminate()  # a shell may have its children ignore the interrupt of a keyboard
        told, _ = first.communicate()
        assert first.returncode != 0, told
        assert "nano, 320 training pictures, about" in told and " left\n" in told, told
    (run,) = (tmp_path / "teach" / "weave").glob("trained-*")
    assert (run / "teacher" / "weights.pt").is_file() and not (run / "bundle").exists()
    with teach(tmp_path, "--json") as again:
        out, complaint = again.communicate()
    assert again.returncode == 0, complaint
    state = json.loads(out)
    made = open_bundle(Path(state["trained"]["bundle"]))
    assert made.sha256 == state["bundle"] == state["trained"]["sha256"] and made.manifest.name == "weave"
    assert (state["step"], state["promised"]["frames"], len(state["trained"]["held"])) == ("activate", 23, 23)
    # The station's engine and the workshop's find the same of the same parts as they are; the bundle's own
    # threshold is that of the same parts in other states, too.
    (report,) = run.rglob("report.json")
    as_they_are = np.array(list(json.loads(report.read_text())["good"].values()), np.float32)
    found = calibrate(as_they_are, target=0.05, source="the workshop's report").raw
    assert len(as_they_are) == 23
    assert state["promised"]["threshold"] == pytest.approx(found, rel=0.02)
    assert found < made.manifest.threshold.raw
