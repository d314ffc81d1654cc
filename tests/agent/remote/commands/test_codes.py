"""Every documented code, asked for over a real broker; nothing that a station takes stays unanswered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.contract import inbound
from agent.contract.arguments import COMMANDS
from agent.contract.commands import CODES
from agent.outbox.file import OutboxError
from agent.remote import remote
from agent.remote.commands.admission import MAXIMUM_BYTES
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.remote.commands.test_signing import SIGNERS, signed
from tests.agent.remote.fakes import FakeRollouts, said
from tests.agent.remote.stations import Asked, asked
from tests.agent.uplink.test_inbound import PROTOCOLS, Mes
from tests.agent.uplink.test_uplink import dated
from tests.brokers import DEADLINE_S, Mosquitto, Subscriber, eventually
from tests.faults.proxy import FaultProxy


@dataclass
class Plant:
    """A station that has delivered ten verdicts, and whoever asks it and hears its answers."""

    station: Asked
    answers: Subscriber
    mes: Mes
    broker: Mosquitto
    network: FaultProxy  # between broker and station
    rollouts: FakeRollouts

    def send(self, name: str = "ping", *, retain: bool = False, **changes: Any) -> None:
        """`payload` is sent as it is, else a command is."""
        id_ = str(changes.pop("id", uuid.uuid4()))
        properties = changes.pop("properties", {})
        good = {"schema": "plumbline.command/1", "id": id_, "expires": "2099-01-01T00:00:00Z", "args": {}}
        payload = changes.pop("payload", None) or json.dumps({**good, **changes}).encode()
        self.mes.send(payload, topic=f"{TOPICS.prefix}/cmd/{name}", retain=retain, **properties)

    def ask(self, name: str = "ping", **what: Any) -> dict[str, Any]:
        """As `send`; the answer, with its topic's last level as `at`."""
        before = len(self.answers.received)
        self.send(name, **what)
        eventually(lambda: len(self.answers.received) > before, "it is answered")
        got = self.answers.received[before]
        assert len(self.answers.received) == before + 1
        return {**json.loads(got.payload), "at": got.topic.removeprefix(f"{TOPICS.prefix}/rsp/")}


@contextmanager
def plant_at(folder: Path, protocol: str, *, synced: bool = True) -> Iterator[Plant]:
    broker = Mosquitto(folder / "mosquitto", "persistence false")
    broker.start()
    answers = Subscriber(broker.port, f"{TOPICS.prefix}/rsp/#")
    answers.start()
    mes = Mes(broker.port)
    network = FaultProxy(broker.port)
    network.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "clock_synced", lambda: synced)
        rollouts = FakeRollouts()
        one = asked(folder / "outbox.sqlite3", network.port, protocol, {"rollouts": rollouts})
    one.start()
    try:
        one.uplink.outbox.append([dated(verdict(number)) for number in range(1, 11)]).result(DEADLINE_S)
        eventually(lambda: not one.uplink.outbox.depth().rows, "they are delivered")
        one.hears()
        yield Plant(one, answers, mes, broker, network, rollouts)
    finally:
        one.stop()
        network.stop()
        mes.stop()
        answers.stop()
        broker.stop()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_at(tmp_path, "5") as made:
        yield made


def repeated(plant: Plant) -> dict[str, Any]:
    assert plant.ask(id="again")["code"] == 200
    return plant.ask(id="again")


def failed(plant: Plant) -> dict[str, Any]:
    def fails(*_: object) -> None:
        raise OutboxError("the disk is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plant.station.uplink.keeper, "remember", fails)
        return plant.ask()


def late(plant: Plant) -> dict[str, Any]:
    (camera,) = (one.name for one in plant.station.settings.cameras)
    plant.station.remote.bindings.of(camera, plant.station.uplink.clock.monotonic_ns() + 10**12)
    return plant.ask("bind", args={"part_id": "SN-1"})


def busy(plant: Plant) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbound, "WAITING", 0)
        return plant.ask()


def signed_by_somebody(plant: Plant, **changes: Any) -> dict[str, Any]:
    """A ping, of a station that trusts the key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plant.station.remote.desk, "_signers", lambda: SIGNERS)
        return plant.ask(payload=signed(**{"name": "ping", "args": {}, **changes}))


def refused_rollout(plant: Plant, code: int) -> dict[str, Any]:
    plant.rollouts.says = said(code, "no")
    return plant.ask("cancel")


CASES: dict[str, Callable[[Plant], dict[str, Any]]] = {
    "retained": lambda plant: plant.ask(retain=True),
    "unknown": lambda plant: plant.ask("reboot"),
    "oversized": lambda plant: plant.ask(payload=b" " * (MAXIMUM_BYTES + 1)),
    "foreign_response_topic": lambda plant: plant.ask(properties={"ResponseTopic": "mes/elsewhere"}),
    "not_json": lambda plant: plant.ask(payload=b"ping"),
    "bad_arguments": lambda plant: plant.ask(args={"loud": True}),
    "repeated": repeated,
    "late": late,
    "expired": lambda plant: plant.ask(expires="2020-01-01T00:00:00Z"),
    "busy": busy,
    "failed": failed,
    "unsigned": lambda plant: plant.ask(payload=signed(name="ping", args={})),
    "wrong_type": lambda plant: signed_by_somebody(plant, type_="application/vnd.plumbline.trust+json"),
    "not_addressed": lambda plant: signed_by_somebody(plant, address="station:a/b/c/d"),
    "not_found": lambda plant: plant.ask("snapshot"),
    "impossible": lambda plant: plant.ask("recipe"),
    "occupied": lambda plant: refused_rollout(plant, 429),
    "failed_before": lambda plant: refused_rollout(plant, 424),
    "deadline": lambda plant: refused_rollout(plant, 408),
    "no_room": lambda plant: refused_rollout(plant, 507),
}
ASKED = {"unknown": "reboot", "late": "bind", "not_found": "snapshot", "impossible": "recipe"}
ASKED |= dict.fromkeys(("occupied", "failed_before", "deadline", "no_room"), "cancel")


def test_every_documented_code_comes_over_a_real_broker(plant: Plant) -> None:
    assert CASES.keys() == CODES.keys()
    for kind, case in CASES.items():
        answer = case(plant)
        assert (answer["code"], answer["data"]["kind"]) == (CODES[kind], kind)
        assert answer["at"] == ASKED.get(kind, "ping")
        assert answer["schema"] == "plumbline.response/1" and answer["message"]
    assert plant.station.uplink.link.state.connects == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_command_is_done_over_a_real_broker(tmp_path: Path, protocol: str) -> None:
    with plant_at(tmp_path, protocol) as plant:
        assert plant.ask()["data"] == {}
        (camera,) = (one.name for one in plant.station.settings.cameras)
        bound = plant.ask("bind", args={"job_id": "WO-7"})
        assert (bound["code"], bound["data"]) == (200, {"cameras": [camera]})
        told = plant.ask("replay", args={"from_sequence": 9, "to_sequence": 12})
        assert (told["code"], told["data"]) == (200, {"replayed": 2, "waiting": 0, "gone": [[11, 12]]})
        gone = plant.ask("replay", args={"from_sequence": 500, "to_sequence": 600})
        assert (gone["code"], gone["data"]) == (200, {"replayed": 0, "waiting": 0, "gone": [[500, 600]]})
        assert "gone" in gone["message"]
        assert plant.ask("ack", args={"result_ids": [str(uuid.uuid4())]})["data"] == {"confirmed": 0}


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(
        st.characters(blacklist_categories=["Cs", "Cc", "Cn", "Co"], blacklist_characters="/+#"),
        min_size=1,
        max_size=70,
    )
    | st.sampled_from(["Reboot", "..", ".", "$SYS", "rsp", "get_image", "x" * 30_000, "\U0001f50c", "ping "])
)
def test_any_unknown_name_is_answered_with_404(plant: Plant, name: str) -> None:
    if name in COMMANDS:
        return
    answer = plant.ask(name)
    assert (answer["code"], answer["name"]) == (404, None)
    assert answer["at"] in (name, "unknown")


def test_an_expired_command_runs_without_a_synchronised_clock_and_the_answer_says_so(
    tmp_path: Path,
) -> None:
    with plant_at(tmp_path, "5", synced=False) as plant:
        answer = plant.ask(expires="2020-01-01T00:00:00Z")
        assert (answer["code"], answer["expiry_checked"]) == (200, False)
        assert "was not looked at" in answer["message"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plant.station.uplink.keeper, "remember", None)
            refused = plant.ask()
        assert (refused["code"], refused["expiry_checked"]) == (500, False)


def kinds(plant: Plant) -> set[str | None]:
    """Of all refusals so far."""
    told = [json.loads(one.payload)["data"] for one in plant.answers.received]
    return {None if data is None else data.get("kind") for data in told}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_retained_command_is_refused_at_whatever_time_it_is_published(
    tmp_path: Path, protocol: str
) -> None:
    with plant_at(tmp_path, protocol) as plant:
        live = plant.ask(retain=True)  # MQTT 3.1.1 does not tell a connected client that it is retained
        assert live["code"] == (400 if protocol == "5" else 200)
        link = plant.station.uplink.link
        plant.network.reset()
        eventually(lambda: link.state.connects >= 2 and link.state.connected, "it is back")
        if protocol == "5":  # it was told once for this session, and that answer may come again as it was
            plant.send(id="behind it")
            told = plant.answers.received
            eventually(lambda: json.loads(told[-1].payload)["id"] == "behind it", "it is answered")
            assert len({one.payload for one in told}) == 2
        else:
            eventually(lambda: "retained" in kinds(plant), "it is refused")  # the first may come again, too
        plant.mes.send(b"", retain=True)  # or it would be there for the next


def test_a_command_that_was_retained_before_the_station_came_is_refused(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "persistence false")
    broker.start()
    answers, mes = Subscriber(broker.port, f"{TOPICS.prefix}/rsp/#"), Mes(broker.port)
    answers.start()
    mes.send(b'{"id": "c-1"}', retain=True)
    one = asked(tmp_path / "outbox.sqlite3", broker.port)
    one.start()
    try:
        eventually(lambda: answers.received, "it is answered")
        told = json.loads(answers.received[0].payload)
        assert (told["code"], told["id"], told["data"]) == (400, "c-1", {"kind": "retained"})
    finally:
        one.stop()
        mes.stop()
        answers.stop()
        broker.stop()
