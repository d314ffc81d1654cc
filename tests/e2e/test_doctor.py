"""`plumbline doctor` beside a station that runs: it finds nothing wrong, and the station does not notice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers import DEADLINE_S, Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import verdicts

pytestmark = pytest.mark.slow
PLUMBLINE = (sys.executable, "-m", "agent")
ROOT = Path(__file__).resolve().parents[2]


def test_beside_a_running_station_all_is_well_and_no_result_is_missing(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    file = agent.write_settings()
    with (tmp_path / "agent.log").open("wb") as log:
        station = subprocess.Popen([*PLUMBLINE, "run", "-c", file], stdout=log, stderr=log, cwd=ROOT)
    try:
        eventually(lambda: len(verdicts(subscriber)) > 3, "verdicts")
        done = subprocess.run(
            [*PLUMBLINE, "doctor", "--json", "-c", file],
            capture_output=True,
            check=False,
            timeout=DEADLINE_S,
            cwd=ROOT,
        )
        before = len(verdicts(subscriber))
        eventually(lambda: len(verdicts(subscriber)) > before + 3, "more verdicts")
    finally:
        station.send_signal(signal.SIGTERM)
        code = station.wait(DEADLINE_S)
    found = {(one["family"], one["check"]): one for one in json.loads(done.stdout)["findings"]}
    assert [one for one in found.values() if one["state"] == "wrong"] == []
    assert found["outbox", "place"]["words"].endswith(f"held by the running agent, process {station.pid}")
    assert found["ports", "free"]["words"].endswith("is held by the running agent")
    assert done.returncode == code == 0
    sequences = [int(str(one["sequence"])) for one in verdicts(subscriber)]
    assert sequences == list(range(1, len(sequences) + 1))
