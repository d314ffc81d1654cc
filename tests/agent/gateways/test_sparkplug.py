"""The Sparkplug edge node at a real mosquitto, decoded by an independent reader of the payloads."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import paho.mqtt.publish as paho_publish
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock, SystemClock
from agent.gateways.gateway import GatewayError
from agent.gateways.sparkplug import SparkplugSink
from agent.gateways.sparkplug_host import HostState
from agent.gateways.sparkplug_host import heard as heard_state
from agent.gateways.sparkplug_payload import DataType, Metric, asks_for_rebirth, encode
from agent.settings.gateways import SparkplugGateway
from tests.agent.gateways import sparkplug_b
from tests.agent.gateways.records import MORNING, FakeRecords, gateway, part, result_id, verdict, waiting
from tests.agent.uplink.authority import Authority
from tests.brokers import HOST, Mosquitto, Received, Subscriber, eventually, free_port

NODE = "spBv1.0/plumbline/{}/station"


@pytest.fixture
def host(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    """A host application: it hears everything."""
    subscriber = Subscriber(mosquitto.port, "spBv1.0/#")
    subscriber.start()
    yield subscriber
    subscriber.stop()


def sink(port: int, *, rules: Sequence[str] = (), **others: object) -> SparkplugSink:
    settings = SparkplugGateway.model_validate({"host": HOST, "port": port, **others})
    cameras = ["top", "bottom"]
    return SparkplugSink(settings, edge="station", cameras=cameras, rules=rules, clock=SystemClock())


def heard(host: Subscriber, count: int) -> list[Received]:
    eventually(lambda: len(host.received) >= count, f"{count} messages arrive")
    assert len(host.received) == count
    return host.received


def kinds(messages: list[Received]) -> list[str]:
    """NBIRTH, DBIRTH/top and so on."""
    parts = [message.topic.split("/") for message in messages]
    return ["/".join([one[2], *one[4:]]) for one in parts]


def seqs(messages: list[Received]) -> list[int]:
    return [sparkplug_b.decode(message.payload).seq for message in messages]


def test_a_session_begins_with_births_and_ends_with_a_death_of_its_number(
    mosquitto: Mosquitto, host: Subscriber
) -> None:
    one = sink(mosquitto.port)
    one.open()
    births = heard(host, 3)
    assert kinds(births) == ["NBIRTH", "DBIRTH/top", "DBIRTH/bottom"]
    assert births[0].topic == NODE.format("NBIRTH")
    assert seqs(births) == [0, 1, 2]
    node = sparkplug_b.values(births[0].payload)
    assert node == {"bdSeq": node["bdSeq"], "Node Control/Rebirth": False}
    assert set(sparkplug_b.values(births[1].payload).values()) == {None}
    one.close()
    death = heard(host, 4)[3]
    assert death.topic == NODE.format("NDEATH")
    assert sparkplug_b.values(death.payload) == {"bdSeq": node["bdSeq"]}
    assert not sparkplug_b.decode(death.payload).HasField("seq")
    assert not any(message.retained for message in host.received)


def test_the_latest_verdict_of_each_camera_is_told_with_types_of_the_birth(
    mosquitto: Mosquitto, host: Subscriber
) -> None:
    one = sink(mosquitto.port)
    one.open()
    one.deliver(
        waiting(
            [verdict(1, name="pass"), verdict(2, part_id="SN123"), verdict(7, camera="bottom", score=None)]
        )
    )
    messages = heard(host, 5)
    assert kinds(messages)[3:] == ["DDATA/top", "DDATA/bottom"]
    assert seqs(messages) == [0, 1, 2, 3, 4]
    top, bottom = (sparkplug_b.values(message.payload) for message in messages[3:])
    assert top == {
        "ResultId": result_id(2),
        "Verdict": "fail",
        "ResultEvaluation": 2,
        "CreationTime": round(MORNING.timestamp() * 1000),
        "Sequence": 2,
        "Score": 0.0371,
        "Threshold": 0.031,
        "IsPartial": False,
        "IsSimulated": False,
        "PartId": "SN123",
        "JobId": None,
    }
    assert (bottom["Sequence"], bottom["Score"]) == (7, None)
    types = [
        {metric.name: metric.datatype for metric in sparkplug_b.decode(message.payload).metrics}
        for message in (messages[1], messages[3])
    ]
    assert types[0] == types[1]
    one.close()


def test_a_part_rule_is_a_device_with_its_last_part_verdict(mosquitto: Mosquitto, host: Subscriber) -> None:
    one = sink(mosquitto.port, rules=["housing"])
    one.open()
    one.deliver(waiting([part(1), part(2, missing=("bottom",)), part(3, rule="gone")]))
    messages = heard(host, 5)
    assert kinds(messages)[3:] == ["DBIRTH/part:housing", "DDATA/part:housing"]
    before, told = (sparkplug_b.values(message.payload) for message in messages[3:])
    assert set(before.values()) == {None} and before.keys() == told.keys()
    assert told == {
        "ResultId": "019ab000-0000-5000-8000-000000000002",
        "Verdict": "undecided",
        "ResultEvaluation": 3,
        "Reason": "view_missing",
        "CreationTime": round(MORNING.timestamp() * 1000),
        "Sequence": 2,
        "IsPartial": False,
        "IsSimulated": False,
        "PartId": "SN2",
        "JobId": None,
        "Missing": "bottom",
    }
    one.close()


def test_the_count_of_messages_wraps_after_255(mosquitto: Mosquitto, host: Subscriber) -> None:
    one = sink(mosquitto.port)
    one.open()
    for number in range(1, 261):
        one.deliver(waiting([verdict(number)]))
    assert seqs(heard(host, 263)) == [number % 256 for number in range(263)]
    one.close()


def test_a_host_that_asks_for_a_rebirth_is_told_everything_again(
    mosquitto: Mosquitto, host: Subscriber
) -> None:
    one = sink(mosquitto.port)
    one.open()
    one.deliver(waiting([verdict(5)]))
    command = NODE.format("NCMD")
    for nonsense in (sparkplug_b.rebirth(False), b"", b"\xff\xff", b'{"rebirth": true}'):
        paho_publish.single(command, nonsense, qos=1, hostname=HOST, port=mosquitto.port)
        one.deliver(())
    paho_publish.single(command, sparkplug_b.rebirth(), qos=1, hostname=HOST, port=mosquitto.port)
    while not one._rebirth:
        assert one._client is not None
        one._turn(one._client, 0.05)
    one.deliver(waiting([verdict(6)]))
    told = [message for message in heard(host, 12) if message.topic != command]
    assert kinds(told)[4:] == ["NBIRTH", "DBIRTH/top", "DBIRTH/bottom"]
    assert seqs(told[4:]) == [0, 1, 2]
    sessions = [sparkplug_b.values(message.payload)["bdSeq"] for message in (told[0], told[4])]
    assert sessions[0] == sessions[1]
    assert sparkplug_b.values(told[5].payload)["Sequence"] == 6
    one.close()


def test_a_connection_that_breaks_is_a_death_by_will_and_a_new_session(
    mosquitto: Mosquitto, host: Subscriber
) -> None:
    records = FakeRecords([verdict(1)])
    one = sink(mosquitto.port)
    courier = gateway(records, one, clock=ManualClock(MORNING))
    courier.step()
    heard(host, 4)
    assert one._client is not None
    broken = one._client.socket()
    assert broken is not None
    broken.shutdown(socket.SHUT_RDWR)
    records.commit(verdict(2))
    while courier.step():
        pass
    assert records.cursor == 2
    eventually(
        lambda: kinds(host.received)[-1:] == ["DDATA/top"] and len(host.received) >= 9, "a new session"
    )
    told = host.received
    death = next(message for message in told if message.topic == NODE.format("NDEATH"))
    births = [message for message in told if message.topic == NODE.format("NBIRTH")]
    first, second = (sparkplug_b.values(message.payload)["bdSeq"] for message in births)
    assert sparkplug_b.values(death.payload)["bdSeq"] == first
    assert second == (first + 1) % 256
    assert sparkplug_b.values(told[-1].payload)["Sequence"] == 2
    one.close()


def test_rows_wait_while_the_broker_is_away_and_the_reason_is_told(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    records = FakeRecords([verdict(1)])
    one = sink(mosquitto.port)
    courier = gateway(records, one, clock=ManualClock(MORNING))
    courier.step()
    assert records.cursor == 0
    assert courier.state.failing is not None
    assert f"{HOST}:{mosquitto.port}: no connection" in courier.state.failing
    mosquitto.start()
    courier.step()
    assert records.cursor == 1 and courier.state.failing is None
    mosquitto.stop()
    while courier.state.failing is None:
        courier.step()
    assert "connection lost" in courier.state.failing
    one.close()


def test_a_broker_that_refuses_us_or_says_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Mosquitto(tmp_path / "closed", "password_file /dev/null")
    broker._extra = ("allow_anonymous false",)
    broker.start()
    one = sink(broker.port)
    with pytest.raises(GatewayError, match=r"the broker refused us \(Not authorized\); check username and"):
        one.open()
    one.close()
    broker.stop()
    monkeypatch.setattr("agent.gateways.sparkplug.ANSWER_S", 0.3)
    with socket.create_server((HOST, free_port())) as silent:
        one = sink(silent.getsockname()[1])
        with pytest.raises(GatewayError, match=r"no answer in 0.3 s; check host, port and tls"):
            one.open()
        one.close()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_only_a_broker_that_the_ca_vouches_for_is_trusted(tmp_path: Path) -> None:
    plant, somebody = Authority(tmp_path, "plant"), Authority(tmp_path, "somebody")
    certificate_file, key_file = plant.certify("broker", address=HOST)
    broker = Mosquitto(tmp_path / "mosquitto", f"certfile {certificate_file}", f"keyfile {key_file}")
    broker.start()
    trusting = sink(broker.port, tls=True, ca_file=plant.ca_file)
    trusting.open()
    trusting.deliver(waiting([verdict(1)]))
    trusting.close()
    wary = sink(broker.port, tls=True, ca_file=somebody.ca_file)
    with pytest.raises(GatewayError, match=r"its certificate is not trusted \(.*\); check ca_file"):
        wary.open()
    wary.close()
    broker.stop()


def test_a_password_file_that_is_missing_is_named(mosquitto: Mosquitto, tmp_path: Path) -> None:
    one = sink(mosquitto.port, username="u", password_file=tmp_path / "none")
    with pytest.raises(GatewayError, match="none"):
        one.open()
    one.close()


class PrimaryHost:
    """A host application as Sparkplug 3.0 has it: it says retained whether it is there."""

    def __init__(self, port: int) -> None:
        self._port = port

    def say(self, *, online: bool, timestamp: int) -> None:
        said = json.dumps({"online": online, "timestamp": timestamp})
        paho_publish.single("spBv1.0/STATE/scada", said, qos=1, retain=True, hostname=HOST, port=self._port)


def told(host: Subscriber) -> list[str]:
    return kinds([message for message in host.received if "/STATE/" not in message.topic])


def test_nothing_is_published_before_the_primary_host_is_online(
    mosquitto: Mosquitto, host: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.gateways.sparkplug.ANSWER_S", 0.5)
    primary, one = PrimaryHost(mosquitto.port), sink(mosquitto.port, primary_host="scada")
    with pytest.raises(GatewayError, match="primary host scada is not online; start it, or check"):
        one.open()
    one.close()
    primary.say(online=False, timestamp=1000)
    with pytest.raises(GatewayError, match="primary host scada is not online"):
        one.open()
    one.close()
    primary.say(online=True, timestamp=2000)
    monkeypatch.setattr("agent.gateways.sparkplug.ANSWER_S", 60.0)
    one.open()
    eventually(lambda: len(told(host)) == 3, "the births arrive")
    assert told(host) == ["NBIRTH", "DBIRTH/top", "DBIRTH/bottom"], "and no death of a node never born"
    one.close()


def test_rows_wait_while_the_primary_host_is_away_and_a_word_of_its_past_does_not_count(
    mosquitto: Mosquitto, host: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, one = PrimaryHost(mosquitto.port), sink(mosquitto.port, primary_host="scada")
    primary.say(online=True, timestamp=2000)
    records = FakeRecords([verdict(1)])
    courier = gateway(records, one, clock=ManualClock(MORNING))
    courier.step()
    assert records.cursor == 1
    paho_publish.single("spBv1.0/STATE/scada", b"OFFLINE", qos=1, hostname=HOST, port=mosquitto.port)
    primary.say(online=False, timestamp=1999)
    command = NODE.format("NCMD")
    paho_publish.single(command, sparkplug_b.rebirth(), qos=1, hostname=HOST, port=mosquitto.port)
    eventually(lambda: courier.step() or told(host).count("NBIRTH") == 2, "all that came before it is heard")
    assert courier.state.failing is None
    primary.say(online=False, timestamp=2000)  # its will: as old as its birth
    eventually(lambda: courier.step() or courier.state.failing, "it is heard")
    records.commit(verdict(3))
    monkeypatch.setattr("agent.gateways.sparkplug.ANSWER_S", 0.2)
    courier.step()
    monkeypatch.undo()
    assert records.cursor == 1
    assert courier.state.failing is not None and "primary host scada is not online" in courier.state.failing
    eventually(lambda: told(host)[-1:] == ["NDEATH"], "the death is told")
    primary.say(online=True, timestamp=3000)
    courier.step()
    assert (records.cursor, courier.state.failing) == (2, None)
    eventually(lambda: told(host)[-4:] == ["NBIRTH", "DBIRTH/top", "DBIRTH/bottom", "DDATA/top"], "all again")
    assert sparkplug_b.values(host.received[-1].payload)["Sequence"] == 3
    one.close()


@pytest.mark.parametrize(
    "payload", [b"", b"ONLINE", b"[]", b'{"online": 1, "timestamp": 1}', b'{"online": true, "timestamp": -1}']
)
def test_what_is_no_state_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):
        heard_state(HostState(), payload)


VALUES = {
    DataType.INT32: st.integers(0, 2**31 - 1),
    DataType.INT64: st.integers(0, 2**63 - 1),
    DataType.UINT64: st.integers(0, 2**64 - 1),
    DataType.DATETIME: st.integers(0, 2**63 - 1),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: st.text(),
}
METRICS = st.sampled_from(list(VALUES)).flatmap(
    lambda type_: st.builds(
        Metric,
        name=st.text(),
        type=st.just(type_),
        value=st.none() | VALUES[type_],
        timestamp_ms=st.integers(0, 2**63 - 1),
    )
)


@given(st.lists(METRICS, max_size=5), st.integers(0, 2**63 - 1), st.none() | st.integers(0, 255))
def test_what_we_encode_others_decode(metrics: list[Metric], timestamp_ms: int, seq: int | None) -> None:
    decoded = sparkplug_b.decode(encode(metrics, timestamp_ms=timestamp_ms, seq=seq))
    assert decoded.timestamp == timestamp_ms
    assert decoded.HasField("seq") == (seq is not None) and decoded.seq == (seq or 0)
    for metric, found in zip(metrics, decoded.metrics, strict=True):
        field = found.WhichOneof("value")
        assert (found.name, found.datatype, found.timestamp) == (
            metric.name,
            metric.type,
            metric.timestamp_ms,
        )
        assert found.is_null == (metric.value is None)
        assert (None if field is None else getattr(found, field)) == metric.value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_value_error(payload: bytes) -> None:
    try:
        assert asks_for_rebirth(payload) in (True, False)
    except ValueError as error:
        assert "byte" in str(error)


def test_a_command_is_understood_as_others_encode_it() -> None:
    assert asks_for_rebirth(sparkplug_b.rebirth())
    assert not asks_for_rebirth(sparkplug_b.rebirth(False))


@pytest.mark.parametrize("content", [None, b"", b"not PEM", bytes(range(256))])
def test_a_ca_file_that_cannot_be_used_is_named_and_no_broker_is_blamed(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    one = sink(1, tls=True, ca_file=file)
    with pytest.raises(GatewayError, match=rf"^ca_file: {file}: .*; check ca_file$"):
        one.open()
    one.close()
