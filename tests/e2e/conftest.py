"""A station in a process of its own, and who listens to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.e2e.agent_process import AgentProcess


@pytest.fixture
def agent(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[AgentProcess]:
    process = AgentProcess(tmp_path, broker_port=mosquitto.port)
    yield process
    process.kill()


@pytest.fixture
def subscriber(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    client = Subscriber(mosquitto.port, "plumbline/v1/#")
    client.start()
    yield client
    client.stop()
