"""People and an MES command one running agent, and all of it stands on one record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.page.sessions.gate import OWN_HEADER
from tests import plain_http
from tests.agent.cli.calling import forked
from tests.agent.uplink.test_inbound import Mes
from tests.brokers import HOST, Mosquitto, eventually
from tests.e2e.agent_process import PROOF_S, STATION, AgentProcess

pytestmark = pytest.mark.slow


class Site:
    def __init__(self, folder: Path, broker: Mosquitto, bundle: Path) -> None:
        self.agent = AgentProcess(folder, broker_port=broker.port, bundle=bundle)
        self.agent.settings["archive"] = {"folder": str(folder / "archive"), "pass_share": 1.0}
        self.file = folder / "agent.yaml"
        url = f"http://{HOST}:{self.agent.page_port}/api/"
        self.page = plain_http.Client(base_url=url, headers={OWN_HEADER: "1"}, timeout=60)

    def act(self, name: str, **body: Any) -> httpx.Response:
        """To its end, however long that takes."""
        answer = self.page.post(f"acts/{name}", json=body)
        while answer.status_code == 202:
            answer = self.page.get(f"jobs/{answer.json()['job']}")
        return answer

    def view(self, name: str, **query: str) -> Any:
        return self.page.get(f"views/{name}", params=query).json()

    def is_up(self) -> bool:
        try:
            return self.page.get("views/now").status_code == 200
        except httpx.TransportError:
            return False

    def threshold(self) -> float:
        found = self.view("model")["in_force"]["thresholds"]
        return float(next(iter(found.values()), 0.0))


@pytest.fixture
def site(tmp_path: Path, mosquitto: Mosquitto, bright: Path) -> Iterator[Site]:
    site = Site(tmp_path, mosquitto, bright)
    site.agent.start()
    with site.page:
        eventually(site.is_up, "the page answers")
        yield site
    site.agent.kill()


def test_the_page_and_an_mes_command_one_station_and_all_of_it_is_recorded(
    site: Site, mosquitto: Mosquitto
) -> None:
    answer = site.act("pause", reason="gripper")
    assert answer.status_code == 200, answer.text
    assert answer.json()["paused"]["who"] == "this machine"
    assert site.view("model")["in_force"]["paused"]["reason"] == "gripper"
    assert site.act("resume").json() == {"was_paused": True}

    eventually(lambda: site.threshold() > 0, "a model judges")
    was, first = site.threshold(), site.view("model")["history"][0]["snapshot"]
    weighed = site.act("what_if", threshold=0.09)
    assert weighed.status_code == 200 and weighed.json()["words"], weighed.text
    onto = site.view("model")["in_force"]["settings"]
    assert site.act("threshold", threshold=0.09, onto=onto).status_code == 200
    eventually(lambda: site.threshold() == pytest.approx(0.09), "the threshold is in force")
    assert site.act("threshold", threshold=0.08, onto=onto).status_code == 409, "another was quicker"
    newest = site.view("model")["history"][0]
    assert newest["is_current"] and newest["differs"][0]["member"] == "judge.threshold"
    assert site.act("revert", snapshot=first).status_code == 200
    eventually(lambda: site.threshold() == pytest.approx(was), "those before are in force")

    found = site.act("doctor").json()
    assert found["good"] > 0 and all(one["remedy"] for one in found["findings"] if one["state"] == "wrong")
    assert "FOLDER/current" in site.act("rollback", reason="worse").text

    mes = Mes(mosquitto.port)
    command = {
        "schema": "plumbline.command/1",
        "id": "c-1",
        "expires": "2099-01-01T00:00:00Z",
        "args": {"reason": "tool change", "who": "mes"},
    }
    mes.send(json.dumps(command).encode(), topic=f"{STATION}/cmd/pause")
    eventually(lambda: site.view("now")["control"]["mes"], "the MES commands")
    mes.stop()
    assert "take the control" in site.act("resume").text
    assert site.act("take_control", minutes=5).status_code == 200
    assert site.act("resume").status_code == 200

    assert site.agent.stop() == 0
    done = forked("-m", "agent", "settings", "changes", "--json", "-c", site.file)
    assert done.code == 0, done.err
    changes = [one for one in json.loads(done.out)["changes"] if not one["who"].startswith("whoever")]
    assert [(one["who"], one["way"], one["what"]) for one in changes] == [
        ("this machine", "page", "pause"),
        ("this machine", "page", "resume"),
        ("this machine", "page", "threshold"),
        ("this machine", "page", "revert"),
        ("mes", "command", "pause"),
        ("this machine", "page", "take_control"),
        ("this machine", "page", "resume"),
    ]
    assert (changes[2]["before"], changes[2]["after"]) == (
        {"judge.threshold": None},
        {"judge.threshold": 0.09},
    )


def test_the_mes_has_a_decision_made_once_more_as_the_page_does(site: Site) -> None:
    eventually(lambda: site.view("rejects")["results"], "there is a reject", 120)
    kept = site.view("rejects")["results"][-1]["id"]
    eventually(lambda: site.view("result", id=kept)["can"]["replay"], "its picture is kept", 60)
    assert site.act("pause", reason="a decision is looked into").status_code == 200  # it gives way
    words = ("-m", "agent", "command", "decide_again", f"result_id={kept}", "-c", site.file)
    done = forked(*words, "--timeout", "300", "--json", timeout_s=PROOF_S)
    assert done.code == 0, done.out + done.err
    found = json.loads(done.out)["data"]
    assert found["schema"] == "plumbline.replay/1" and found["reproduced"], found
    assert found["result_id"] == kept
    here = site.act("replay", result_id=kept).json()
    assert here["rows"] == found["rows"]
    gone = forked(
        *words[:4], "result_id=01900000-0000-7000-8000-000000000009", *words[5:], "--timeout", "300"
    )
    assert gone.code == 1 and "keeps no picture of it" in gone.out + gone.err
    assert site.agent.stop() == 0
