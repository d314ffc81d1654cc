"""A camera that is absent or misconfigured degrades the agent, in words; the others serve meanwhile."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

import pytest

from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import STATION, AgentProcess
from tests.lived import living


def absent(name: str, path: Path) -> dict[str, object]:
    return {"name": name, "source": {"kind": "folder", "path": str(path), "rate_hz": 5.0, "repeat": True}}


def verdicts_of(subscriber: Subscriber, camera: str) -> int:
    return sum(message.topic == f"{STATION}/verdict/{camera}" for message in list(subscriber.received))


def status(subscriber: Subscriber) -> dict[str, str]:
    said = [message for message in list(subscriber.received) if message.topic == f"{STATION}/status"]
    told: dict[str, str] = said[-1].json() if said else {"state": "none", "reason": ""}
    return told


@pytest.mark.slow
def test_a_camera_that_is_absent_at_the_start_degrades_and_comes_later_while_others_serve(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    late, missing = tmp_path / "late", tmp_path / "vendor.cti"
    cameras = agent.settings["cameras"]
    assert isinstance(cameras, list)
    cameras.append(absent("late", late))
    cameras.append({"name": "wrong", "source": {"kind": "harvesters", "producer": str(missing)}})
    agent.start()
    eventually(lambda: verdicts_of(subscriber, "top") >= 3, "the camera that is there serves")
    eventually(lambda: status(subscriber)["state"] == "degraded", "the agent says that it is degraded")
    eventually(lambda: str(missing) in status(subscriber)["reason"], "the wrong setting is named")
    assert f"{late}: cannot be listed" in status(subscriber)["reason"]
    assert verdicts_of(subscriber, "late") == 0
    late.mkdir()
    shutil.copyfile(tmp_path / "frames" / "part000.png", late / "part.png")
    with living() as away:
        eventually(lambda: verdicts_of(subscriber, "late") >= 1, "the late camera serves")
    assert away.seconds < 10.0
    eventually(lambda: "late" not in status(subscriber)["reason"], "the late camera is no trouble any more")
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.page_port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    assert 'plumbline_camera_streaming{camera="late"} 1.0' in lines
    assert 'plumbline_camera_streaming{camera="wrong"} 0.0' in lines
    assert agent.stop() == 0, agent.log()


@pytest.mark.slow
def test_an_agent_whose_only_camera_is_absent_runs_says_so_and_stops_with_0(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    agent.settings["cameras"] = [absent("late", tmp_path / "late")]
    agent.start()
    eventually(lambda: status(subscriber)["state"] == "degraded", "the agent says that it is degraded")
    assert agent.is_running()
    assert agent.stop() == 0, agent.log()
