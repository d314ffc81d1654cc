"""A station in a process of its own, and who listens to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.e2e.agent_process import AgentProcess
from tests.e2e.bright import write_bright
from tests.e2e.lifted import lifted


@pytest.fixture(scope="package", autouse=True)
def _lifted() -> Iterator[None]:
    with lifted():
        yield


@pytest.fixture(scope="session")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that opens at once; nobody changes it."""
    return write_bright(tmp_path_factory.mktemp("bundles") / "bright")


@pytest.fixture
def agent(tmp_path: Path, mosquitto: Mosquitto, bright: Path) -> Iterator[AgentProcess]:
    """Judges cells by how bright they are."""
    process = AgentProcess(tmp_path, broker_port=mosquitto.port, bundle=bright)
    yield process
    process.kill()


@pytest.fixture
def sampled(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[AgentProcess]:
    """Judges cells by the bundle of the repository; started as a station's service starts it."""
    process = AgentProcess(tmp_path, broker_port=mosquitto.port, is_warm=False)
    yield process
    process.kill()


@pytest.fixture
def subscriber(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    client = Subscriber(mosquitto.port, "plumbline/v1/#")
    client.start()
    yield client
    client.stop()
