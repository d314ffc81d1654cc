"""Two simulated cameras, a real broker: each part has one verdict, also over a kill of the agent."""

from __future__ import annotations

import copy
import json
import urllib.request
from collections import Counter
from typing import Any

import pytest

from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import STATION, AgentProcess
from tests.e2e.test_agent import verdicts


def parts_of(subscriber: Subscriber) -> list[dict[str, Any]]:
    """Each once, in the order of their numbers."""
    heard = {
        one["result_id"]: one
        for message in list(subscriber.received)
        if message.topic == f"{STATION}/part/housing" and (one := message.json())
    }
    return sorted(heard.values(), key=lambda one: one["sequence"])


def passed(subscriber: Subscriber) -> int:
    return sum(one["verdict"] == "pass" for one in parts_of(subscriber))


@pytest.mark.slow
def test_two_cameras_give_one_verdict_of_each_part_also_over_a_kill(
    agent: AgentProcess, subscriber: Subscriber
) -> None:
    (top,) = agent.settings["cameras"]  # type: ignore[misc]
    side = copy.deepcopy(top)
    side["name"] = "side"
    for camera in (top, side):
        camera["part_rule"] = "housing"
        camera["source"] |= {"lose_every_blocks": 0, "lose_lines": 0}
    agent.settings["cameras"] = [top, side]
    agent.settings["parts"] = [{"name": "housing", "by": "encoder", "timeout_s": 5.0, "window_ticks": 40}]
    agent.start()
    eventually(lambda: passed(subscriber) >= 3, "parts pass", 60.0)
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.page_port}/api/views/live", timeout=10) as answer:
        (shown,) = json.load(answer)["parts"]
    assert shown["rule"] == "housing" and shown["counts"]["pass"] >= 1
    assert {one["camera"] for one in shown["last"]["views"]} <= {"top", "side"}
    agent.kill()
    before = len(parts_of(subscriber))
    agent.start()  # the simulated encoders begin again at 0
    eventually(lambda: passed(subscriber) >= 6 and len(parts_of(subscriber)) > before + 3, "they go on", 60.0)
    assert agent.stop() == 0, agent.log()
    told, views = parts_of(subscriber), {one["result_id"]: one for one in verdicts(subscriber)}
    assert [one["sequence"] for one in told] == [*range(1, len(told) + 1)], "no gap over the kill"
    named = Counter(view["result_id"] for part in told for view in part["views"])
    assert set(named.values()) == {1} and named.keys() <= views.keys()
    open_ = sorted(views[one]["sequence"] for one in views.keys() - named.keys())
    last = max(one["sequence"] for one in views.values())
    assert all(sequence > last - 8 for sequence in open_), "only the last views wait for their parts"
    for part in told:
        seen = [views[view["result_id"]] for view in part["views"]]
        assert len({one["camera"] for one in seen}) == len(seen)
        if part["verdict"] == "pass":
            assert {one["verdict"] for one in seen} == {"pass"} and not part["missing"]
            places = [one["frame"]["encoder"] for one in seen]
            assert max(places) - min(places) <= 40
        assert (part["verdict"] == "fail") == any(one["verdict"] == "fail" for one in seen)
    boots = {part["boot_id"] for part in told}
    assert len(boots) == 2
