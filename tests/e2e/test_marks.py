"""A running agent takes marks by a real broker, tells them, keeps pictures, and loses none to a kill."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest

from agent.archive import entry, files
from agent.clock import SystemClock
from agent.contract.mark import Mark
from agent.contract.topics import Topics
from agent.marks.dataset import Source, export
from agent.marks.file import Wanted
from agent.marks.read import newest, place
from tests.agent.remote.proof.shadowed import write_grey
from tests.agent.remote.test_remote import ask
from tests.agent.replay.kept import grey_steps
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import of_kind, verdicts


def decided(subscriber: Subscriber, name: str) -> list[dict[str, Any]]:
    return [one for one in verdicts(subscriber) if one["verdict"] == name]


@pytest.mark.slow
def test_marks_of_the_mes_are_told_kept_and_exported_also_after_a_kill(
    agent: AgentProcess, subscriber: Subscriber, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    agent.settings["archive"] = {"folder": str(folder), "pass_share": 1.0, "min_free_bytes": 0}
    write_grey(tmp_path / "serves")  # small, and open at once
    (tmp_path / "pictures").mkdir()
    for name, levels in (("good", (20, 25, 30)), ("bad", (20, 240, 230, 30, 250))):
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), grey_steps(*levels))
    source = {"kind": "folder", "path": str(tmp_path / "pictures"), "rate_hz": 2.0, "repeat": True}
    agent.settings["bundle"] = str(tmp_path / "serves")
    agent.settings["engine"] = {"kind": "openvino", "precision": "f32"}
    agent.settings["cameras"] = [{"name": "top", "source": source}]
    topics = Topics(**agent.settings["identity"])  # type: ignore[arg-type]
    mark = partial(ask, mosquitto.port, "mark", topics=topics)
    agent.start()
    eventually(lambda: decided(subscriber, "fail") and decided(subscriber, "pass"), "both are decided")
    failed, passed = decided(subscriber, "fail")[0], decided(subscriber, "pass")[0]
    right = {"result_id": failed["result_id"], "says": "right", "label": "scratch", "way": "mes"}
    answer = mark({**right, "who": "MES 4"})
    assert answer["code"] == 200, answer
    told: dict[str, Any] = answer["data"]  # type: ignore[assignment]
    assert (told["mark"]["truth"], told["mark"]["way"], told["was"]) == ("defective", "mes", None)
    eventually(lambda: of_kind(subscriber, "mark"), "the broker hears of it")
    assert json.loads(of_kind(subscriber, "mark")[0].content) == told["mark"]
    picture = files.place(folder, failed["result_id"], failed["created"])
    eventually(picture.is_file, "its picture is kept")  # behind the line, when it has time
    eventually(lambda: entry.read(picture).mark is not None, "it is held")
    wrong = mark({"result_id": passed["result_id"], "says": "wrong"})
    assert wrong["code"] == 200
    agent.kill()
    unknown = {"result_id": "01900000-0000-7000-8000-000000000009", "says": "right"}
    agent.start()
    refused = mark(unknown)
    assert (refused["code"], refused["data"]) == (404, {"kind": "not_found"})
    assert "does not know that result" in str(refused["message"])
    assert mark({**unknown, "label": "<b>"})["code"] == 422
    eventually(lambda: len({one.payload for one in of_kind(subscriber, "mark")}) == 2, "both are told")
    eventually(lambda: len(decided(subscriber, "pass")) >= 5, "more have passed")
    assert agent.stop() == 0, agent.log()
    path = place(Path(str(agent.settings["outbox"]["path"])))  # type: ignore[index]
    kept = newest(path, Wanted()).marks
    assert {one.mark_id for one in kept} == {
        Mark.model_validate_json(one.payload).mark_id for one in of_kind(subscriber, "mark")
    }
    assert [one.sequence for one in kept] == [2, 1]
    for _ in export(kept, Source(archive=folder, station="s"), tmp_path / "set", SystemClock(), passes=3):
        pass
    assert (tmp_path / "set" / "test" / "scratch" / f"{failed['result_id']}.png").is_file()
    assert (tmp_path / "set" / "test" / "defect" / f"{passed['result_id']}.png").is_file()
    assert len([*(tmp_path / "set" / "train" / "good").iterdir()]) == 3
