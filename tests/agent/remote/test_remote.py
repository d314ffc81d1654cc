"""A station that is asked over a real broker: what is done, and what is told of parts without a trigger."""

from __future__ import annotations

import dataclasses
import json
import uuid
from pathlib import Path

import pytest
from paho.mqtt import publish

from agent.contract.topics import Topics
from agent.settings.settings import Delivery
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.remote.stations import asked
from tests.agent.uplink.test_uplink import events_at, flagged, subscriber
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually

__all__ = ["subscriber"]  # a fixture


def ask(port: int, name: str, arguments: dict[str, object], *, topics: Topics = TOPICS) -> dict[str, object]:
    """Send one command as an MES does, and wait for the answer."""
    answers = Subscriber(port, topics.rsp(name), f"asker-{name}")
    answers.start()
    request = {
        "schema": "plumbline.command/1",
        "id": str(uuid.uuid4()),
        "expires": "2100-01-01T00:00:00Z",
        "args": arguments,
    }
    publish.single(topics.cmd(name), json.dumps(request), qos=1, hostname=HOST, port=port)

    def told() -> list[dict[str, object]]:
        """Answers to this one: the broker may send another once more after a kill."""
        said = [json.loads(one.payload) for one in list(answers.received)]
        return [one for one in said if one["id"] == request["id"]]

    eventually(told, f"{name} is answered")
    answers.stop()
    return told()[0]


@pytest.mark.slow
def test_commands_of_the_mes_are_performed_and_answered(
    tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    one = asked(tmp_path / "outbox.sqlite3", mosquitto.port, delivery=Delivery(confirmed_by="mes"))
    one.start()
    rows = [dataclasses.replace(verdict(number), id=str(uuid.UUID(int=number))) for number in range(1, 4)]
    one.uplink.outbox.append(rows).result(DEADLINE_S)
    eventually(lambda: one.uplink.outbox.depth().unconfirmed == 3, "the MES has not said so")
    ids = [row.id for row in rows]
    confirmed = ask(mosquitto.port, "ack", {"result_ids": [*ids[:2], str(uuid.UUID(int=99))]})
    assert (confirmed["code"], confirmed["data"]) == (200, {"confirmed": 2})
    assert one.uplink.outbox.depth().unconfirmed == 1
    again = ask(mosquitto.port, "replay", {"from_sequence": 1, "to_sequence": 3})
    assert (again["code"], again["data"]) == (200, {"replayed": 2, "waiting": 1, "gone": []})
    eventually(lambda: len(flagged(subscriber)) == 2, "both are said again")
    assert ask(mosquitto.port, "ping", {"loud": True})["code"] == 422
    assert one.remote.desk.refusals["bad_arguments"] == 1
    one.stop()
    assert one.uplink.outbox.last_sequence() == 3


def test_a_part_for_which_no_trigger_came_is_told_as_an_event(
    tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    one = asked(tmp_path / "outbox.sqlite3", mosquitto.port)
    one.start()
    for part in ("SN-1", "SN-2"):
        assert ask(mosquitto.port, "bind", {"part_id": part})["code"] == 200
    (camera,) = one.settings.cameras
    bound = one.remote.bindings.of(camera.name, one.uplink.clock.monotonic_ns())
    assert bound.part_id == "SN-2"
    one.remote.watch()
    eventually(lambda: events_at(subscriber) == ["binding_unused"], "it is told")
    (told,) = [json.loads(got.payload) for got in subscriber.received if got.topic == TOPICS.event()]
    assert told["data"] == {"camera": camera.name, "part_id": "SN-1"}
    one.stop()
