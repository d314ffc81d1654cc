"""A broker that lacks one thing costs that thing only: verdicts flow, the state says what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.mqtt.terms import NO_RETAIN, Lessons, Parting, learned
from tests.agent.outbox.rows import TOPICS, crop, event, verdict
from tests.agent.uplink.links import Impatient
from tests.agent.uplink.picky_broker import Connect, PickyBroker
from tests.agent.uplink.stations import Station, mqtt, station, status
from tests.brokers import DEADLINE_S, Mosquitto, Subscriber, eventually


@contextmanager
def running(folder: Path, protocol: str, *extra: str) -> Iterator[tuple[Station, Subscriber]]:
    """A station at a mosquitto with `extra` settings, and somebody who is subscribed to it."""
    broker = Mosquitto(folder / "mosquitto", *extra)
    broker.start()
    subscriber = Subscriber(broker.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    one = station(folder / "outbox.sqlite3", mqtt(broker.port, protocol), Impatient())
    one.link.publish_status(status("online"))
    one.start()
    try:
        yield one, subscriber
    finally:
        one.stop()
        subscriber.stop()
        broker.stop()


def delivers(one: Station, subscriber: Subscriber) -> None:
    """Verdicts, events and crops arrive, in one connection from here on."""
    eventually(lambda: one.link.state.connected, "it is connected")
    rows = [verdict(1), crop(1, 300), event(1), *(verdict(number) for number in range(2, 60))]
    one.outbox.append(rows).result(DEADLINE_S)
    one.deliver_all()
    sent = {row.payload for row in rows}
    eventually(lambda: sent <= {got.content for got in subscriber.received}, "all arrived")
    verdicts = [got.content for got in subscriber.received if got.topic == TOPICS.verdict("top")]
    assert verdicts == [row.payload for row in rows if row.kind == "verdict"]
    assert one.link.failure is None


def said(subscriber: Subscriber) -> list[str]:
    return [json.loads(got.payload)["state"] for got in subscriber.received if got.topic == TOPICS.status()]


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        (("retain_available false",), ["no retained messages"]),
        (("max_qos 0",), ["QoS 0 only"]),
        (("max_qos 1",), []),
        (("retain_available false", "max_qos 0"), ["no retained messages", "QoS 0 only"]),
        (("max_inflight_messages 1",), []),
        (("max_keepalive 10",), []),
        (("persistence false",), []),
        (("max_packet_size 1500",), []),
    ],
)
def test_verdicts_flow_at_a_mosquitto_that_lacks_something(
    tmp_path: Path, protocol: str, lacking: tuple[str, ...], words: list[str]
) -> None:
    with running(tmp_path, protocol, *lacking) as (one, subscriber):
        delivers(one, subscriber)
        eventually(lambda: "online" in said(subscriber), "the status is said")
        for word in words:
            assert word in one.link.state.reason
            assert any(word in lack for lack in one.link.state.lacks)
        assert len(one.link.state.lacks) == len(words)
        assert one.link.state.protocol == ("3.1.1" if protocol == "3.1.1" else "5")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("rights", "words"),
    [
        # mosquitto grants every subscription, and in 3.1.1 does not say what it drops.
        ([f"topic write {TOPICS.prefix}/{one}/+" for one in ("verdict", "crop", "crop_header")], "status"),
        (["topic write #"], None),
    ],
)
def test_verdicts_flow_at_a_mosquitto_that_denies_a_topic(
    tmp_path: Path, protocol: str, rights: list[str], words: str | None
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("\n".join(["topic read #", *rights]) + "\n", encoding="utf-8")
    with running(tmp_path, protocol, f"acl_file {acl}", "max_queued_messages 1000") as (one, subscriber):
        one.outbox.append([verdict(number) for number in range(1, 20)]).result(DEADLINE_S)
        eventually(lambda: one.outbox.depth().rows == 0, "all are delivered")
        eventually(lambda: len(subscriber.received) >= 19, "all arrived")
        if words is not None and protocol == "5":
            eventually(lambda: any(words in lack for lack in one.link.state.lacks), "it is said")
            assert TOPICS.status() in one.link.state.reason


@contextmanager
def at(broker: PickyBroker, folder: Path, protocol: str = "auto") -> Iterator[Station]:
    one = station(folder / "outbox.sqlite3", mqtt(broker.port, protocol), Impatient())
    one.link.publish_status(status("online", "w" * 300))
    with broker:
        one.start()
        try:
            rows = [verdict(number) for number in range(1, 30)]
            one.outbox.append(rows).result(DEADLINE_S)
            one.deliver_all()
            eventually(lambda: one.link.state.connected, "it stays connected")
            yield one
        finally:
            one.stop()


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (b"\x25\x00", "no retained messages"),  # Retain Available
        (b"\x24\x00", "QoS 0 only"),  # Maximum QoS
        (b"\x24\x01", ""),
        (b"\x28\x00", ""),  # Wildcard Subscription Available
        (b"\x29\x00", ""),  # Subscription Identifiers Available
        (b"\x2a\x00", ""),  # Shared Subscription Available
        (b"\x22\x00\x00", ""),  # Topic Alias Maximum
        (b"\x21\x00\x01", ""),  # Receive Maximum
        (b"\x11\x00\x00\x00\x00", "keeps no session"),  # Session Expiry Interval
        (b"\x13\x00\x05", ""),  # Server Keep Alive
        (b"\x12\x00\x05other", ""),  # Assigned Client Identifier
        (b"\x27\x00\x00\x01\x80", "status"),  # Maximum Packet Size: no room for the status
        (b"\x25\x00\x24\x00\x28\x00\x29\x00\x2a\x00\x21\x00\x01", "QoS 0 only"),
    ],
)
def test_what_connack_says_is_lacking_is_not_used_and_nothing_else_is_missed(
    tmp_path: Path, properties: bytes, words: str
) -> None:
    broker = PickyBroker(properties=properties)
    with at(broker, tmp_path) as one:
        eventually(lambda: broker.filters, "commands are asked for")
        eventually(lambda: words in one.link.state.reason, "the state says so")
        assert len(one.link.state.lacks) in ((1, 2) if words else (0,))
        assert len(broker.connects) == one.link.state.connects == 1
        assert not (b"\x25\x00" in properties and any(one.retain for one in broker.published))
        assert not (b"\x24\x00" in properties and any(one.qos for one in broker.published))
        wildcards = b"\x28\x00" not in properties
        assert (TOPICS.commands() in broker.filters) == wildcards
        assert (TOPICS.cmd("replay") in broker.filters) == (not wildcards)


def refuses_retain(connect: Connect) -> int | None:
    return 0x9A if connect.will_retain else 0


def refuses_qos(connect: Connect) -> int | None:
    return 0x9B if connect.will_qos else 0


def refuses_will(code: int) -> Callable[[Connect], int | None]:
    return lambda connect: code if connect.will else 0


def hangs_up(refused: Callable[[Connect], bool]) -> Callable[[Connect], int | None]:
    return lambda connect: None if refused(connect) else 0


@pytest.mark.parametrize(
    ("protocol", "accepts", "words"),
    [
        ("auto", refuses_retain, "no retained messages"),
        ("5", refuses_qos, "QoS 0 only"),
        *[("auto", refuses_will(code), "last will") for code in (0x87, 0x90, 0x95, 0x97, 0x99)],
        ("3.1.1", refuses_will(5), "last will"),
        ("3.1.1", hangs_up(lambda connect: connect.will_retain), "no retained messages"),
        ("3.1.1", hangs_up(lambda connect: connect.will_qos > 0), "QoS 0 only"),
        ("3.1.1", hangs_up(lambda connect: connect.will_qos > 0 or connect.will_retain), "QoS 0 only"),
        ("3.1.1", hangs_up(lambda connect: connect.will), "last will"),
        ("5", hangs_up(lambda connect: connect.will), "last will"),
        ("auto", hangs_up(lambda connect: connect.will or connect.level == 5), "last will"),
    ],
)
def test_a_connect_that_is_refused_for_one_thing_is_tried_without_it(
    tmp_path: Path, protocol: str, accepts: Callable[[Connect], int | None], words: str
) -> None:
    broker = PickyBroker()
    broker.accepts = accepts
    with at(broker, tmp_path, protocol) as one:
        assert words in one.link.state.reason
        assert one.link.state.connects == 1
        assert len(broker.connects) < 16


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("hated", [TOPICS.status(), TOPICS.commands()])
def test_what_connections_end_over_is_done_without(tmp_path: Path, protocol: str, hated: str) -> None:
    broker = PickyBroker()
    broker.hangs_up_on = hated.__eq__
    with at(broker, tmp_path, protocol) as one:
        eventually(lambda: one.link.state.lacks, "the state says so")
        assert one.link.state.connects <= 5
        assert not one.link.state.duplicate_client_id


@pytest.mark.parametrize("said", ["status", "report"])
def test_what_connections_ended_over_by_accident_is_said_again_on_one_that_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    topic = TOPICS.status() if said == "status" else TOPICS.reported()
    broker = PickyBroker()
    broker.hangs_up_on = topic.__eq__
    with at(broker, tmp_path) as one:
        one.link.publish_reported(b"{}")
        eventually(lambda: f"over the {said}" in str(one.link.state.lacks), "it is told")
        broker.hangs_up_on = lambda wanted: False
        connects, before = len(broker.connects), len(broker.published)
        monkeypatch.setattr("agent.uplink.mqtt.conversation.MUTED_S", 0.0)
        eventually(lambda: topic in {one.topic for one in broker.published[before:]}, "it is said again")
        eventually(lambda: f"over the {said}" not in str(one.link.state.lacks), "nor told as left out")
        assert len(broker.connects) == connects


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_where_the_filter_of_all_commands_is_refused_each_is_asked_for_by_its_name(
    tmp_path: Path, protocol: str
) -> None:
    failure = 0x87 if protocol == "5" else 0x80
    broker = PickyBroker()
    broker.grants = lambda wanted: 1 if wanted in (TOPICS.cmd("ping"), TOPICS.cmd("ack")) else failure
    with at(broker, tmp_path, protocol) as one:
        eventually(lambda: TOPICS.cmd("replay") in one.link.state.reason, "the state says which are refused")
        assert TOPICS.cmd("ping") not in one.link.state.reason
        broker.grants = lambda wanted: 1 if wanted != TOPICS.commands() else failure


def test_what_a_broker_lacked_is_asked_for_again_after_a_connection_that_lasted() -> None:
    lessons = Lessons()
    for parting in (Parting(outcome="failed", code=NO_RETAIN), Parting(outcome="accepted", lasted_s=3600.0)):
        before = lessons
        lessons = learned(lessons, parting, guess=False)
    assert not before.terms.retain
    assert lessons == Lessons()


@given(
    st.lists(
        st.builds(
            Parting,
            outcome=st.sampled_from(["accepted", "unsupported", "hung_up", "failed"]),
            code=st.sampled_from([0, 0x80, 0x87, 0x8B, 0x8E, 0x95, 0x9A, 0x9B, 0xFF]),
            unanswered=st.frozensets(st.sampled_from(["status", "commands"])),
            oversized=st.booleans(),
            kept=st.booleans(),
            lasted_s=st.sampled_from([0.0, 1.0, 3600.0]),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_no_history_makes_it_ask_for_less_for_ever(partings: list[Parting], guess: bool) -> None:
    lessons = Lessons()
    for parting in partings:
        lessons = learned(lessons, parting, guess=guess)
    assert learned(lessons, Parting(outcome="accepted", lasted_s=60.0), guess=guess) == Lessons()
