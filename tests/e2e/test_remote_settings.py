"""A running station is told by a real broker what to be: it is, or stays what it was, and says which."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE
from models.signing import sign
from tests.agent.remote.settled import KEYS, document, signed, trust_file
from tests.brokers import HOST, Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import STATION, AgentProcess
from tests.e2e.plant import PROBATION
from tests.e2e.test_agent import verdicts

ADDRESS = "station:test/cells/line1/top1"
DESIRED = f"{STATION}/config/desired"
GROUP = "plumbline/v1/groups/press/config/desired"

pytestmark = pytest.mark.slow


def told(port: int, topic: str, envelope: bytes) -> None:
    """Publish it, retained."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect(HOST, port)
    client.loop_start()
    client.publish(topic, envelope, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def ours(settings: dict[str, Any], counter: int, **changes: Any) -> bytes:
    return signed(
        document(settings, counter, **{"address": ADDRESS, "expires": "2099-01-01T00:00:00Z", **changes})
    )


def reports(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [one.json() for one in subscriber.received if one.topic == f"{STATION}/config/reported"]


def attempted(subscriber: Subscriber) -> dict[str, Any]:
    found = reports(subscriber)
    return (found[-1]["settings"]["attempted"] or {}) if found else {}


def is_now(subscriber: Subscriber, counter: int | None, state: str) -> bool:
    one = attempted(subscriber)
    return (one.get("counter"), one.get("state")) == (counter, state)


@pytest.fixture
def remote(agent: AgentProcess, tmp_path: Path, bright: Path) -> AgentProcess:
    """A station that listens to documents."""
    (tmp_path / "trust.json").write_bytes(trust_file())
    agent.settings["trust"] = {"file": str(tmp_path / "trust.json")}
    bundle = tmp_path / "bundle"
    shutil.copytree(bright, bundle)
    (bundle / SIGNATURE).write_bytes(sign((bundle / MANIFEST).read_bytes(), BUNDLE_TYPE, KEYS[2]))
    agent.settings["bundle"] = str(bundle)
    agent.settings["remote"] = {"groups": ["press"], "probation": PROBATION}
    return agent


def test_settings_come_by_the_broker_into_force_and_what_is_poisoned_changes_nothing(
    remote: AgentProcess, subscriber: Subscriber, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    told(mosquitto.port, DESIRED, b"[" * 1000)  # it was there before the station
    remote.start()
    eventually(lambda: attempted(subscriber).get("code") == 400, "the poisoned one has its answer")
    eventually(lambda: len(verdicts(subscriber)) >= 3, "it works all the same")

    told(mosquitto.port, DESIRED, ours({"revision": 7, "judge": {"min_area_px": 20}}, 1))
    eventually(lambda: verdicts(subscriber)[-1]["settings"]["version"] == 7, "it judges by them")
    eventually(lambda: is_now(subscriber, 1, "applied"), "they stay after probation")
    active = reports(subscriber)[-1]["settings"]["active"]
    assert (active["version"], active["source"], active["issuer"], active["counter"]) == (
        7,
        "remote",
        "plant",
        1,
    )
    assert active["sha256"] == verdicts(subscriber)[-1]["settings"]["sha256"]

    told(mosquitto.port, GROUP, ours({"line": {"ring_frames": 32}}, 2, address="group:press"))
    eventually(lambda: is_now(subscriber, 2, "applied"), "another run of the group's settings")
    told(mosquitto.port, DESIRED, ours({"judge": {"min_area_px": "many"}}, 3))
    eventually(lambda: is_now(subscriber, 3, "failed"), "what makes no sense is told")
    assert attempted(subscriber)["errors"][0]["path"] == "judge.min_area_px"

    remote.kill()
    told(mosquitto.port, DESIRED, ours({"revision": 8}, 4))
    remote.start()
    eventually(lambda: is_now(subscriber, 4, "applied"), "what came meanwhile is taken up")
    assert json.loads((tmp_path / "reported.json").read_bytes())["settings"]["active"]["version"] == 8
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / ".part").write_bytes(ours({"revision": 9}, 5))
    (tmp_path / "inbox" / ".part").rename(tmp_path / "inbox" / "usb.json")
    eventually(lambda: is_now(subscriber, 5, "applied"), "a document from a stick is one like any other")
    assert not list((tmp_path / "inbox").iterdir())

    beside = {"camera": "top", "ignore": [{"corners": [[9000, 0], [9010, 0], [9010, 9]]}]}
    told(mosquitto.port, DESIRED, ours({"recipes": [{"name": "a", "cameras": [beside]}]}, 6))
    eventually(lambda: is_now(subscriber, 6, "failed"), "a region beside the frames is a slip")
    assert attempted(subscriber)["errors"][0]["path"] == "recipes.0.cameras.0.ignore.0"
    assert remote.stop() == 0, remote.log()
    # One that was on its way when the station was killed may come twice.
    sequences = list({one["result_id"]: one["sequence"] for one in verdicts(subscriber)}.values())
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_change_that_cuts_the_broker_off_is_refused_or_comes_back_by_itself(
    remote: AgentProcess, subscriber: Subscriber, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    other = Mosquitto(tmp_path / "other")
    other.start()
    remote.start()
    eventually(lambda: len(verdicts(subscriber)) >= 3, "it works")
    told(mosquitto.port, DESIRED, ours({"mqtt": {"port": 1}}, 1))
    eventually(lambda: is_now(subscriber, 1, "failed"), "nobody answers there")
    assert attempted(subscriber)["code"] == 422 and attempted(subscriber)["errors"][0]["path"] == "mqtt"

    told(mosquitto.port, DESIRED, ours({"mqtt": {"port": other.port}}, 2))
    log = tmp_path / "other" / "mosquitto.log"
    eventually(lambda: "top1-" in log.read_text(), "the other one is tried first")
    other.kill()
    eventually(lambda: is_now(subscriber, 2, "rolled_back"), "it comes back by itself")
    assert "broker" in attempted(subscriber)["errors"][0]["message"]
    assert reports(subscriber)[-1]["settings"]["active"]["source"] == "file"
    seen = len(verdicts(subscriber))
    eventually(lambda: len(verdicts(subscriber)) > seen + 3, "and delivers")

    other.start()
    told(mosquitto.port, DESIRED, ours({"mqtt": {"port": other.port}}, 3))
    there = Subscriber(other.port, "plumbline/v1/#")
    there.start()
    eventually(lambda: is_now(there, 3, "applied"), "the new broker is reached, and they stay")
    there.stop()
    assert remote.stop() == 0, remote.log()
    other.stop()


def test_a_hot_change_is_in_force_soon_after_its_message(
    remote: AgentProcess, subscriber: Subscriber, mosquitto: Mosquitto
) -> None:
    remote.start()
    eventually(lambda: len(verdicts(subscriber)) >= 3, "it works")
    took_s = []
    for counter in range(1, 4):
        begun = time.monotonic()
        told(mosquitto.port, DESIRED, ours({"revision": 100 + counter}, counter))
        log = f'"revision": {100 + counter}'
        while log not in remote.log():
            assert time.monotonic() - begun < 60
            time.sleep(0.002)
        took_s.append(time.monotonic() - begun)
        eventually(lambda counter=counter: is_now(subscriber, counter, "applied"), "they stay")  # type: ignore[misc]
    print("hot change in force after", ", ".join(f"{one * 1000:.0f}" for one in took_s), "ms")
    assert remote.stop() == 0, remote.log()
