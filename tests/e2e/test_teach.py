"""Own parts by one command beside a running station: its threshold is in force, and a second is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.demo.cells import load_cells
from tests.agent.cli.calling import Ended, forked
from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import verdicts

pytestmark = pytest.mark.slow


def plumbline(*words: str | Path) -> Ended:
    return forked("-m", "agent", *words, timeout_s=240)


def judged_by(subscriber: Subscriber, threshold: float) -> bool:
    found = [one["score"]["threshold"] for one in verdicts(subscriber) if one.get("score")]
    return bool(found) and found[-1] == pytest.approx(threshold, rel=1e-6)


@pytest.mark.timeout(600)
def test_good_cells_teach_a_running_station_its_threshold(
    sampled: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for cell in [one for one in load_cells() if one.split == "train/good"][:400:8]:
        shutil.copyfile(cell.image, good / cell.image.name)
    sampled.settings["archive"] = {
        "folder": str(tmp_path / "archive"),
        "pass_share": 1.0,
        "min_free_bytes": 0,
    }
    sampled.settings["cameras"][0]["source"]["line_rate_hz"] = 300.0  # type: ignore[index]
    sampled.start()
    eventually(lambda: len(verdicts(subscriber)) > 3, "it judges", 120)
    file = sampled.write_settings()
    asked = ("teach", "-c", file, "--product", "cell", "--from", good, "--parts", "50", "--flagged", "keep")
    ended = plumbline(*asked, "--target-frr", "0.02", "--who", "lead", "--json")
    assert ended.code == 0, ended.err
    state = json.loads(ended.out)
    threshold = state["promised"]["threshold"]
    assert state["step"] == "done" and state["activated"]["code"] == 200
    eventually(lambda: judged_by(subscriber, threshold), "records name the threshold that was taught", 60)

    stale = {"threshold": 9.0, "onto": state["activated"]["data"]["onto"], "who": "another"}
    late = plumbline("command", "threshold", "-c", file, "--args", json.dumps(stale), "--json")
    answer = json.loads(late.out)
    assert answer["code"] in (409, 429), "the settings are not those that the other looked at"
    assert judged_by(subscriber, threshold)

    would = plumbline("command", "what_if", "threshold=0.5", "-c", file, "--timeout", "60", "--json")
    data = json.loads(would.out)["data"]
    assert data["results"] > 3 and data["rejects_then"] >= data["rejects_now"]
    from_archive = plumbline("calibrate", "threshold", "-c", file, "--target-frr", "0.3", "--json")
    found = json.loads(from_archive.out)
    assert found["minutes"] >= 1 and found["what_if"]["results"] > 3
