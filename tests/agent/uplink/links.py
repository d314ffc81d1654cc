"""Links without an outbox behind them, for tests that look at the link alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.clock import SystemClock
from agent.contract.inbound import Inbound
from agent.remote.commands.admission import turn_away
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.link import MqttLink
from agent.uplink.shipment import LinkEvent
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.stations import hears, status
from tests.brokers import DEADLINE_S, eventually


class Impatient(random.Random):
    """Never waits before the next attempt."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


def link_to(settings: Mqtt, rng: random.Random | None = None) -> MqttLink:
    return MqttLink(
        settings,
        topics=TOPICS,
        last_will=status("offline"),
        clock=SystemClock(),
        rng=rng or random.Random(1),
        turn_away=turn_away,
    )


@contextmanager
def connected(settings: Mqtt, rng: random.Random | None = None) -> Iterator[MqttLink]:
    """A link that is connected and hears commands; somebody takes its events, as the courier does."""
    link = link_to(settings, rng)
    ended = threading.Event()

    def take() -> None:
        while not ended.is_set():
            link.wait(0.1)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    link.start()
    try:
        eventually(lambda: hears(link), "it is connected and subscribed")
        yield link
    finally:
        link.stop(status("stopped"))  # acknowledged, so the broker has read all that went before
        ended.set()
        taker.join()


def received(link: MqttLink) -> Inbound:
    return link.inbound.get(timeout=DEADLINE_S)


def next_event(link: MqttLink) -> LinkEvent:
    """The one event that comes next."""
    events: list[LinkEvent] = []

    def happened() -> bool:
        events.extend(link.wait(0.1))
        return bool(events)

    eventually(happened, "something happens")
    assert len(events) == 1, events
    return events[0]
