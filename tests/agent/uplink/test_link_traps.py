"""What paho does not do by itself, seen at the link alone: limits, refusals, retransmission."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.contract.row import Waiting
from agent.uplink.shipment import Acknowledged, Connected, Disconnected, Refused, Unheard
from tests.agent.outbox.rows import TOPICS, crop, verdict
from tests.agent.uplink.links import link_to, next_event
from tests.agent.uplink.stations import mqtt
from tests.brokers import Mosquitto, Subscriber, eventually

PROTOCOLS = ["5", "3.1.1"]


def test_trap_6_the_brokers_limits_are_handed_on(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "max_inflight_messages 5", "max_packet_size 20000")
    broker.start()
    link = link_to(mqtt(broker.port))
    link.start()
    try:
        assert next_event(link) == Connected(receive_maximum=4, maximum_packet_bytes=20_000)
    finally:
        link.stop()
        broker.stop()


def test_metrics_over_the_brokers_limit_cost_themselves_and_not_the_connection(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "max_packet_size 2000")
    broker.start()
    subscriber = Subscriber(broker.port, TOPICS.metrics())
    subscriber.start()
    link = link_to(mqtt(broker.port))
    link.start()
    try:
        assert isinstance(next_event(link), Connected)
        link.publish_metrics(b"x" * 3000)
        eventually(lambda: "metrics" in "".join(link.state.lacks), "it is told what the broker lacks")
        link.publish_metrics(b"{}")
        eventually(lambda: bool(subscriber.received), "what fits arrives")
        assert [one.payload for one in subscriber.received] == [b"{}"]
        assert link.state.connected and link.state.connects == 1
    finally:
        link.stop()
        subscriber.stop()
        broker.stop()


def test_trap_8_a_puback_with_a_failure_code_is_a_refusal(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic write {TOPICS.crop('top')}\n", encoding="utf-8")
    # With 0, mosquitto 2.0.11 ends the connection after a refused message.
    broker = Mosquitto(tmp_path / "mosquitto", f"acl_file {acl}", "max_queued_messages 1000")
    broker.start()
    link = link_to(mqtt(broker.port))
    link.start()
    try:
        assert isinstance(next_event(link), Connected)
        link.publish(Waiting(seq=7, row=verdict(1)))
        assert next_event(link) == Refused(seq=7, reason="the broker said Not authorized (0x87)")
    finally:
        link.stop()
        broker.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_that_nobody_subscribed_is_told_where_the_protocol_tells_it(
    mosquitto: Mosquitto, protocol: str
) -> None:
    link = link_to(mqtt(mosquitto.port, protocol))
    link.start()
    try:
        assert isinstance(next_event(link), Connected)
        for seq, row in ((1, verdict(1)), (2, crop(1))):
            link.publish(Waiting(seq=seq, row=row))
            unheard = Unheard(seq=seq) if protocol == "5" else Acknowledged(seqs=(seq,))
            assert next_event(link) == unheard
        subscriber = Subscriber(mosquitto.port, TOPICS.verdict("top"))
        subscriber.start()
        link.publish(Waiting(seq=3, row=verdict(2)))
        assert next_event(link) == Acknowledged(seqs=(3,))
        subscriber.stop()
    finally:
        link.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_trap_12_what_was_not_acknowledged_is_published_again_by_nobody_but_the_courier(
    mosquitto: Mosquitto, protocol: str
) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/verdict/+")
    subscriber.start()
    link = link_to(mqtt(mosquitto.port, protocol))
    link.start()
    try:
        assert isinstance(next_event(link), Connected)
        mosquitto.freeze()
        for seq in range(1, 6):
            link.publish(Waiting(seq=seq, row=verdict(seq)))
        mosquitto.kill()
        assert isinstance(next_event(link), Disconnected)
        mosquitto.start()
        assert isinstance(next_event(link), Connected)
        link.publish(Waiting(seq=6, row=verdict(6)))
        assert next_event(link) == Acknowledged(seqs=(6,))
        eventually(lambda: subscriber.received, "it arrives")
        assert [got.payload for got in subscriber.received] == [verdict(6).payload]
    finally:
        link.stop()
        subscriber.stop()
