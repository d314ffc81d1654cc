"""Two agents with one client id: it is named, and they do not push each other off at 1 Hz (trap 10)."""

from __future__ import annotations

import random
import time

import pytest

from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.bad_broker import CONNACK_5, BadBroker
from tests.agent.uplink.links import link_to
from tests.agent.uplink.stations import mqtt
from tests.brokers import Mosquitto, eventually

WATCHED_S = 4.0
TAKEN_OVER = bytes([0xE0, 2, 0x8E, 0])


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_trap_10_of_two_agents_with_one_client_id_one_says_so_and_leaves_the_other_in_peace(
    mosquitto: Mosquitto, protocol: str
) -> None:
    # mosquitto 2.0.11 does not say 'Session taken over', in MQTT 5 neither.
    settings = mqtt(mosquitto.port, protocol)
    links = [link_to(settings, random.Random(seed)) for seed in (1, 2)]
    for link in links:
        link.start()
    try:
        eventually(lambda: any(link.state.duplicate_client_id for link in links), "one knows")
        (knowing,) = [link for link in links if link.state.duplicate_client_id]
        assert f"another client seems to be {TOPICS.station!r}" in knowing.state.reason
        assert "give every agent its own identity.station" in knowing.state.reason
        (other,) = [link for link in links if link is not knowing]
        eventually(lambda: other.state.connected, "the other is connected")
        before = [link.state.connects for link in links]
        time.sleep(WATCHED_S)
        assert [link.state.connects for link in links] == before
        assert all(link.failure is None for link in links)
    finally:
        for link in links:
            link.stop()


def test_trap_10_a_broker_that_says_session_taken_over_is_believed_at_once() -> None:
    with BadBroker(lambda connection: CONNACK_5 + TAKEN_OVER) as broker:
        link = link_to(mqtt(broker.port))
        link.start()
        try:
            eventually(lambda: link.state.duplicate_client_id, "it knows")
            assert link.state.connects <= 1
            assert f"another client connected as {TOPICS.station!r}" in link.state.reason
            assert "give every agent its own identity.station" in link.state.reason
        finally:
            link.stop()


@pytest.mark.slow
def test_a_rival_that_stays_away_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.uplink.mqtt.retry.RIVAL_GONE_S", 1.0)

    def answer(connection: int) -> bytes:
        return CONNACK_5 + (TAKEN_OVER if connection == 1 else b"")

    with BadBroker(answer, stays=True) as broker:
        link = link_to(mqtt(broker.port))
        link.start()
        try:
            eventually(lambda: link.state.duplicate_client_id and link.state.connected, "it is back")
            eventually(lambda: not link.state.duplicate_client_id, "the rival is forgotten")
            assert link.state.connected
        finally:
            link.stop()
