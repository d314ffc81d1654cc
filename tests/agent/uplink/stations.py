"""A station's uplink, complete: outbox, link and courier."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock, SystemClock
from agent.contract.payloads import Status, StatusName, encode
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.remote.commands.admission import turn_away
from agent.settings.settings import Mqtt
from agent.uplink.courier import Courier
from agent.uplink.mqtt.link import MqttLink
from tests.agent.outbox.rows import TOPICS
from tests.brokers import DEADLINE_S, HOST, eventually


def mqtt(port: int, protocol: str = "5", **others: object) -> Mqtt:
    return Mqtt.model_validate({"host": HOST, "port": port, "protocol": protocol, **others})


def status(state: StatusName, reason: str | None = None) -> bytes:
    return encode(
        Status.model_validate(
            {
                "state": state,
                "reason": reason,
                "station": TOPICS.station,
                "boot_id": "boot",
                "versions": {"plumbline": "0"},
                "bundle_sha256": None,
                "settings_sha256": None,
                "since": None,
            }
        )
    )


def hears(link: MqttLink) -> bool:
    """Whether the broker sends it commands."""
    return link.state.connected and link.state.hears


@dataclass(kw_only=True)
class Station:
    outbox: Outbox
    link: MqttLink
    courier: Courier

    def start(self) -> None:
        self.outbox.open()
        self.link.start()
        self.courier.start()

    def stop(self) -> None:
        self.courier.stop()
        self.link.stop(status("stopped"))
        self.outbox.close()

    def deliver_all(self) -> None:
        eventually(lambda: self.outbox.depth().rows == 0, "everything is delivered", 2 * DEADLINE_S)


def station(
    path: Path,
    settings: Mqtt,
    rng: random.Random | None = None,
    *,
    window: int = 20,
    clock: Clock | None = None,
) -> Station:
    clock = clock or SystemClock()
    outbox = Outbox(Database(path, clock=clock))
    link = MqttLink(
        settings,
        topics=TOPICS,
        last_will=status("offline", "connection lost"),
        clock=clock,
        rng=rng or random.Random(1),
        turn_away=turn_away,
    )
    return Station(outbox=outbox, link=link, courier=Courier(outbox, link, clock=clock, window=window))
