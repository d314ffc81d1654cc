"""A machine at its end is told from a broker or receiver that is away."""

from __future__ import annotations

import errno
import os
import socket
from datetime import datetime, timezone

import pytest

from agent.clock import ManualClock
from agent.contract.row import Waiting
from agent.errors import out_of_room
from agent.gateways.gateway import GatewayError
from agent.gateways.sparkplug import SparkplugSink
from agent.gateways.webhook import WebhookSink
from agent.settings.gateways import SparkplugGateway, WebhookGateway
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import refusals
from tests.agent.gateways.records import verdict, waiting

OURS = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS]
CLOCK = ManualClock(datetime(2026, 11, 24, tzinfo=timezone.utc))


def webhook() -> None:
    sink = WebhookSink(WebhookGateway(url="http://127.0.0.1:9/"), CLOCK)
    rows: list[Waiting] = waiting([verdict(1)])
    sink.open()
    sink.deliver(rows)


def sparkplug() -> None:
    settings = SparkplugGateway(host="127.0.0.1", port=9)
    SparkplugSink(settings, edge="e", cameras=["top"], rules=[], clock=CLOCK).open()


@pytest.mark.parametrize("number", OURS)
@pytest.mark.parametrize("reach", [webhook, sparkplug])
def test_without_room_for_a_connection_this_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, number: int, reach: object
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(GatewayError, match="this machine is at its end"):
        reach()  # type: ignore[operator]


@pytest.mark.parametrize("number", OURS)
def test_the_uplink_says_so_too(number: int) -> None:
    words = refusals.failed(OSError(number, os.strerror(number)), Mqtt())
    assert "this machine is at its end" in words and "mqtt.host" not in words


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EPIPE])
def test_what_the_network_does_is_not_blamed_on_this_machine(number: int) -> None:
    assert out_of_room(OSError(number, os.strerror(number))) is None
