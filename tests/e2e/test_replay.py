"""What a running station judged and kept is decided once more as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent.cli.calling import forked
from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import PROOF_S, AgentProcess
from tests.e2e.test_agent import of_kind, verdicts


@pytest.mark.slow
def test_records_of_a_line_with_lost_lines_are_reproduced_beside_it(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    agent.settings["archive"] = {"folder": str(tmp_path / "archive"), "pass_share": 1.0, "min_free_bytes": 0}
    agent.settings["cameras"][0]["web"]["max_invalid_ratio"] = 0.01  # type: ignore[index]
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 25, "records")
    sent = [one.json() for one in of_kind(subscriber, "verdict")]
    chosen = [next(one for one in sent if one["verdict"] == name) for name in ("pass", "fail", "undecided")]
    settings = agent.write_settings()
    for one in chosen:
        file = tmp_path / "kept.json"
        file.write_text(json.dumps(one), encoding="utf-8")
        done = forked("-m", "agent", "replay", file, "-c", settings, "--json", timeout_s=PROOF_S)
        assert done.code == 0, done.out + done.err
        found = json.loads(done.out)
        assert found["reproduced"] and found["notes"] == []
        score = next(row for row in found["rows"] if row["what"] == "score")
        assert score["difference"] <= 1e-6
    assert agent.stop() == 0, agent.log()
