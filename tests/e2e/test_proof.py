"""A bundle that passes its golden tiles and judges otherwise is refused beside a station that goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.bundle.bundle import MANIFEST, manifest_bytes, open_bundle
from tests.agent.cli.calling import forked
from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import PROOF_S, AgentProcess
from tests.e2e.test_agent import verdicts


def stricter(bundle: Path, path: Path) -> Path:
    """The bundle with a threshold of which nobody was told; its graph and golden tiles are right."""
    shutil.copytree(bundle, path)
    manifest = open_bundle(path).manifest
    lower = manifest.threshold.model_copy(update={"raw": 0.5 * manifest.threshold.raw})
    (path / MANIFEST).write_bytes(manifest_bytes(manifest.model_copy(update={"threshold": lower})))
    return path


@pytest.mark.slow
def test_one_that_flips_verdicts_is_refused_while_the_line_judges_by_the_one_before(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path, bright: Path
) -> None:
    agent.settings["archive"] = {
        "folder": str(tmp_path / "archive"),
        "pass_share": 1.0,
        "min_free_bytes": 0,
    }
    agent.settings["remote"] = {"proof": {"frames": 10, "timeout_s": PROOF_S}}
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 15, "records")
    before = len(verdicts(subscriber))
    config = agent.write_settings()
    candidate = stricter(bright, tmp_path / "stricter")
    words = ("-m", "agent", "bundle", "prove", candidate, "-c", config, "--json")
    done = forked(*words, timeout_s=PROOF_S)
    assert (done.code, done.err) == (1, "")
    found = json.loads(done.out)
    assert (
        found["frames"]["judged"] == 10 and found["flips"]["to_fail"] >= 2 and not found["flips"]["to_pass"]
    )
    assert "verdicts flip" in found["problem"]["message"] and found["golden"]["worst_tile_delta"] < 0.3
    assert found["shift"]["bias"] > 10
    pictures = Path(found["folder"])
    assert all((pictures / name).is_file() for one in found["worst"] for name in one["pictures"].values())
    eventually(lambda: len(verdicts(subscriber)) >= before + 5, "records go on")
    assert agent.stop() == 0, agent.log()
    told = verdicts(subscriber)
    assert [one["sequence"] for one in told] == list(range(1, len(told) + 1))
    assert {one["model"]["sha256"] for one in told} == {open_bundle(bright).sha256}
