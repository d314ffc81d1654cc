"""What was judged arrives once, in order, and fits its contract, whatever the broker does."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from agent.clock import SystemClock
from agent.contract.verdict import Verdict
from agent.outbox.file import read_depth
from agent.schemas import json_schemas
from tests.brokers import Mosquitto, Received, Subscriber, eventually, kill_once_read
from tests.e2e.agent_process import STATION, AgentProcess

SCHEMA = json_schemas.outgoing(Verdict)
RESIDENT_LIMIT_MB = 500


@pytest.mark.slow
def test_every_message_of_a_running_agent_fits_the_contract(
    sampled: AgentProcess, subscriber: Subscriber
) -> None:
    sampled.start()
    eventually(
        lambda: len(crops(subscriber)) >= 2 and len(verdicts(subscriber)) >= 30, "verdicts and crops arrive"
    )
    resident_mb = sampled.resident_mb()
    assert sampled.stop() == 0, sampled.log()
    found = verdicts(subscriber)
    for verdict in found:
        jsonschema.validate(verdict, SCHEMA)
    assert {"pass", "fail"} <= {verdict["verdict"] for verdict in found}
    assert [verdict["sequence"] for verdict in found] == list(range(1, len(found) + 1))
    assert all(len(message.payload) < 8192 for message in of_kind(subscriber, "verdict"))
    assert_crops_are_those_announced(subscriber, found)
    assert last_status(subscriber).json()["state"] == "stopped"
    assert resident_mb < RESIDENT_LIMIT_MB
    assert "torch imported: False" in sampled.log()


@pytest.mark.slow
def test_lost_lines_are_told_and_never_pass(agent: AgentProcess, subscriber: Subscriber) -> None:
    """The camera drops 5 lines now and then: 5 of 300 are within the limit, and are told."""
    agent.settings["cameras"][0]["web"]["max_invalid_ratio"] = 0.01  # type: ignore[index]
    agent.start()

    def told() -> bool:
        return any(verdict["frame"]["lines_lost"] for verdict in verdicts(subscriber))

    eventually(told, "a record with lost lines")
    agent.stop()
    lossy = [verdict for verdict in verdicts(subscriber) if verdict["frame"]["lines_lost"] == 5]
    assert lossy
    assert all(
        (v["verdict"], v["reason"], v["is_partial"]) == ("undecided", "lost_lines", True) for v in lossy
    )


@pytest.mark.slow
def test_a_calibrated_web_is_told_in_mm_and_its_roll_has_a_map(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    web = {
        "window_lines": 300,
        "max_windows_per_defect": 4,
        "encoder": {"ticks_per_line": 4.0},
        "mm_per_px": 0.5,
        "mm_per_line": 0.5,
        "roll": {"folder": str(tmp_path / "rolls")},
    }
    agent.settings["cameras"][0]["web"] = web  # type: ignore[index]
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 20, "records of twenty windows")
    assert agent.stop() == 0, agent.log()
    found = verdicts(subscriber)
    assert [verdict["sequence"] for verdict in found] == list(range(1, len(found) + 1))
    (roll_id,) = {verdict["roll_id"] for verdict in found}
    for verdict in found:
        for defect in verdict["defects"]:
            assert defect["area_mm2"] == pytest.approx(defect["area_px"] / 4)
            x, y, width, height = defect["bbox_web"] or (
                defect["bbox_px"][0],
                verdict["frame"]["first_line"] + defect["bbox_px"][1],
                *defect["bbox_px"][2:],
            )
            assert x / 2 <= defect["centroid_mm"][0] <= (x + width) / 2
            assert y / 2 <= defect["centroid_mm"][1] <= (y + height) / 2
    events = [message.json() for message in of_kind(subscriber, "event")]
    (told,) = [event["data"] for event in events if event["event"] == "roll_map"]
    assert told["roll_id"] == roll_id and sum(told["windows"].values()) == len(found)
    assert told["defects_counted"] == sum(len(verdict["defects"]) for verdict in found)
    assert all(Path(file).parent == tmp_path / "rolls" and Path(file).exists() for file in told["files"])


@pytest.mark.slow
def test_a_broker_that_is_away_for_ten_seconds_loses_nothing(
    agent: AgentProcess, subscriber: Subscriber, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 5, "the first verdicts")
    kill_once_read(mosquitto, subscriber)
    before = recorded(tmp_path)
    time.sleep(10)
    assert recorded(tmp_path) > before + 5, "the line stopped while the broker was away"
    mosquitto.start()
    eventually(
        lambda: read_depth(tmp_path / "outbox.sqlite3", clock=SystemClock()).rows < 5, "the backlog drains"
    )
    assert agent.stop() == 0, agent.log()
    total = recorded(tmp_path)
    left = read_depth(tmp_path / "outbox.sqlite3", clock=SystemClock()).kinds
    assert left["verdict"] == 0
    eventually(lambda: verdicts(subscriber)[-1]["sequence"] == total, "the last record arrives")
    first_seen = list(dict.fromkeys(verdict["sequence"] for verdict in verdicts(subscriber)))
    assert first_seen == list(range(1, total + 1))


@pytest.mark.slow
def test_a_broker_that_is_absent_at_start_is_told_everything_later(
    agent: AgentProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.stop()
    agent.start()
    eventually(lambda: recorded(tmp_path) >= 5, "records without a broker")
    mosquitto.start()
    client = Subscriber(mosquitto.port, f"{STATION}/verdict/#")
    client.start()
    eventually(lambda: len(verdicts(client)) >= 5, "the records arrive")
    agent.stop()
    client.stop()


@pytest.mark.slow
def test_sequences_go_on_after_a_sigkill_and_a_restart(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 5, "the first verdicts")
    agent.kill()
    agent.start()
    eventually(lambda: len({v["boot_id"] for v in verdicts(subscriber)}) == 2, "verdicts of the second start")
    assert agent.stop() == 0, agent.log()
    first_seen = list(dict.fromkeys(verdict["sequence"] for verdict in verdicts(subscriber)))
    assert first_seen == list(range(1, len(first_seen) + 1))


def of_kind(subscriber: Subscriber, kind: str) -> list[Received]:
    return [message for message in list(subscriber.received) if message.topic.startswith(f"{STATION}/{kind}")]


def verdicts(subscriber: Subscriber) -> list[dict[str, object]]:
    return [message.json() for message in of_kind(subscriber, "verdict")]


def crops(subscriber: Subscriber) -> list[Received]:
    return of_kind(subscriber, "crop")


def last_status(subscriber: Subscriber) -> Received:
    eventually(lambda: b'"stopped"' in of_kind(subscriber, "status")[-1].payload, "the last words")
    return of_kind(subscriber, "status")[-1]


def recorded(folder: Path) -> int:
    """Records the outbox has taken in all, delivered or not."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/outbox.sqlite3?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT last_sequence FROM progress").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


def assert_crops_are_those_announced(subscriber: Subscriber, found: list[dict[str, object]]) -> None:
    announced = {
        defect["crop"]["crop_id"]: (verdict["result_id"], defect["crop"])
        for verdict in found
        for defect in verdict["defects"]
        if defect["crop"]
    }
    received = {dict(message.properties)["crop_id"]: message for message in crops(subscriber)}
    assert set(received) == set(announced)
    for crop_id, message in received.items():
        result_id, reference = announced[crop_id]
        assert dict(message.properties)["result_id"] == result_id
        assert hashlib.sha256(message.payload).hexdigest() == reference["sha256"]
        assert len(message.payload) == reference["bytes"]
        assert message.content_type == "image/jpeg"
