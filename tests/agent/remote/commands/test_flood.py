"""However many commands come at once, each that the broker has our acknowledgement of was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.clock import SystemClock, rfc3339
from agent.contract import inbound
from agent.outbox import file as outbox_file
from agent.outbox.file import transaction
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.remote.stations import Asked, asked
from tests.agent.uplink.test_uplink import dated
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually


@contextmanager
def running(
    folder: Path, protocol: str, *extra: str
) -> Iterator[tuple[Asked, Subscriber, Subscriber, paho.Client]]:
    """A whole uplink at a mosquitto, who hears its answers, who hears its verdicts, and who asks."""
    broker = Mosquitto(folder / "mosquitto", "persistence false", *extra)
    broker.start()
    answers = Subscriber(broker.port, f"{TOPICS.prefix}/rsp/+", "answers")
    verdicts = Subscriber(broker.port, f"{TOPICS.prefix}/verdict/+", "verdicts")
    for one in (answers, verdicts):
        one.start()
    mes = paho.Client(CallbackAPIVersion.VERSION2, client_id="mes", protocol=paho.MQTTv5)
    mes.max_inflight_messages_set(1000)
    mes.connect(HOST, broker.port)
    mes.loop_start()
    one = asked(folder / "outbox.sqlite3", broker.port, protocol)
    one.start()
    one.hears()
    try:
        yield one, answers, verdicts, mes
    finally:
        one.stop()
        mes.disconnect()
        mes.loop_stop()
        for one in (answers, verdicts):
            one.stop()
        broker.stop()


def ask(mes: paho.Client, name: str, number: int, arguments: dict[str, object], qos: int = 1) -> None:
    expires = rfc3339(SystemClock().utc_now().replace(year=2099))
    content = {"schema": "plumbline.command/1", "id": f"{number}", "expires": expires, "args": arguments}
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = b"%d" % number
    mes.publish(TOPICS.cmd(name), json.dumps(content), qos, properties=properties)


def codes(answers: Subscriber) -> dict[str, list[int]]:
    told: dict[str, list[int]] = {}
    for got in answers.received:
        answer = json.loads(got.payload)
        told.setdefault(answer["id"], []).append(answer["code"])
    return told


def fresh(verdicts: Subscriber) -> set[bytes]:
    """Those that were not replayed."""
    return {got.payload for got in verdicts.received if b"replayed" not in got.payload}


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(
    ("protocol", "extra"),
    [("5", ()), ("3.1.1", ()), ("3.1.1", ("max_inflight_messages 0",)), ("5", ("max_inflight_messages 1",))],
)
def test_of_300_pings_at_once_every_one_is_answered_once(
    tmp_path: Path, protocol: str, extra: tuple[str, ...], qos: int
) -> None:
    with running(tmp_path, protocol, *extra) as (one, answers, verdicts, mes):
        for number in range(300):
            ask(mes, "ping", number, {}, qos)
        rows = [dated(verdict(number)) for number in range(1, 101)]
        one.uplink.outbox.append(rows).result(DEADLINE_S)
        eventually(lambda: len(verdicts.received) == 100, "verdicts go beside them")
        eventually(lambda: len(answers.received) == 300, "all are answered")
        assert codes(answers) == {str(number): [200] for number in range(300)}
        if protocol == "5":
            told = {json.loads(got.payload)["id"]: got.correlation_data for got in answers.received}
            assert told == {str(number): b"%d" % number for number in range(300)}
        assert (one.uplink.link.inbound_refused, one.uplink.link.inbound_dropped) == (0, 0)
        assert one.uplink.link.state.connects == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_of_200_replays_in_a_flood_every_one_is_answered_and_verdicts_go_on(
    tmp_path: Path, protocol: str
) -> None:
    with running(tmp_path, protocol) as (one, answers, verdicts, mes):
        one.uplink.outbox.append([dated(verdict(number)) for number in range(1, 101)]).result(DEADLINE_S)
        eventually(lambda: len(verdicts.received) == 100, "they are delivered")
        for number in range(200):
            ask(mes, "replay", number, {"from_sequence": 1, "to_sequence": 100})
        one.uplink.outbox.append([dated(verdict(number)) for number in range(101, 151)]).result(DEADLINE_S)
        eventually(lambda: len(answers.received) == 200, "all are answered")
        assert codes(answers) == {str(number): [200] for number in range(200)}

        eventually(lambda: len(fresh(verdicts)) == 150, "new ones came beside them")


def test_what_there_is_no_room_for_is_refused_and_nothing_is_acknowledged_unanswered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "WAITING", 20)
    with running(tmp_path, "3.1.1", "max_inflight_messages 0") as (one, answers, _, mes):
        file = one.uplink.outbox.path
        with closing(outbox_file.connect(file, synchronous="NORMAL")) as held, transaction(held):
            # the desk cannot look whether a command has run
            for number in range(300):
                ask(mes, "ping", number, {})
            eventually(lambda: len(answers.received) >= 270, "most are refused")
        eventually(lambda: len(answers.received) == 300, "all are answered")
        told = codes(answers)
        assert len(told) == 300
        assert {code for (code,) in told.values()} == {200, 429}
        refused = [one for one, (code,) in told.items() if code == 429]
        assert len(refused) == one.uplink.link.inbound_refused
        again = refused[0]  # the same id may be asked again
        ask(mes, "ping", int(again), {})
        eventually(lambda: codes(answers)[again] == [429, 200], "it is done now")
