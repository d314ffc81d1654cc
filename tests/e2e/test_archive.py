"""What a station judged is kept as it was judged and told; a folder that fails harms nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.archive import entry, files
from agent.archive.index import Query
from agent.archive.shelf import Shelf
from agent.clock import SystemClock
from agent.settings.archive import Archive
from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import of_kind, verdicts


@pytest.mark.slow
def test_every_frame_is_kept_under_the_verdict_that_was_sent(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    agent.settings["archive"] = {"folder": str(folder), "pass_share": 1.0, "min_free_bytes": 0}
    agent.settings["cameras"][0]["web"]["max_invalid_ratio"] = 0.01  # type: ignore[index]
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 25, "records")
    assert agent.stop() == 0, agent.log()
    sent = {one.json()["result_id"]: one.content for one in of_kind(subscriber, "verdict")}
    pictured = {id_ for id_, payload in sent.items() if json.loads(payload)["verdict"] != "skipped"}
    shelf = Shelf(folder, Archive(folder=folder), clock=SystemClock())
    shelf.open()
    found = {kept.head.id: shelf.read(kept.head.id) for kept in shelf.find(Query(limit=10_000))}
    assert set(found) == pictured == {file.id for file in files.scan(folder)}
    assert {one.verdict.verdict for one in found.values()} >= {"pass", "fail", "undecided"}
    for id_, one in found.items():
        assert one.recorded == sent[id_]
        assert one.frame.digest() == json.loads(sent[id_])["frame"]["sha256"]
        assert one.frame.image.shape == (300, 300, 1) and one.evidence is not None
        if one.verdict.frame.lines_lost:
            assert one.frame.valid is not None and not one.frame.valid.all()
    shelf.close()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_degrades_the_station_and_stops_no_record(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    folder.write_text("something in the way")
    agent.settings["archive"] = {"folder": str(folder), "pass_share": 1.0, "min_free_bytes": 0}
    agent.start()
    words = f"Archive takes no frames: {folder}: File exists; something else has this name"

    def told() -> bool:
        said = [one.json() for one in of_kind(subscriber, "status")[-1:]]
        return any(one["state"] == "degraded" and words in (one["reason"] or "") for one in said)

    eventually(lambda: bool(verdicts(subscriber)) and told(), "the trouble is told")
    before = len(verdicts(subscriber))
    eventually(lambda: len(verdicts(subscriber)) >= before + 5, "records go on")
    folder.unlink()
    eventually(
        lambda: folder.is_dir() and any(files.scan(folder)) and not told(), "frames are kept once they can be"
    )
    assert agent.stop() == 0, agent.log()
    kept = [entry.read(folder / file.day / f"{file.id}.png").verdict.sequence for file in files.scan(folder)]
    assert len(kept) >= 5
    numbers = [verdict["sequence"] for verdict in verdicts(subscriber)]
    assert numbers == list(range(1, len(numbers) + 1))
