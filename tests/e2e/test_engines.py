"""A running agent says which engine serves, and that it is not the one that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.engines.gpu import find_gpu
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import STATION, AgentProcess

pytest.importorskip("elpv_dataset")


@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_an_agent_that_cannot_have_its_engine_judges_with_the_next_and_is_degraded(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    agent = AgentProcess(tmp_path, broker_port=mosquitto.port, cells=4)
    agent.settings["engine"] = {"kind": "tensorrt", "threads": 1}
    subscriber = Subscriber(mosquitto.port, f"{STATION}/#")
    subscriber.start()
    agent.start()
    try:
        eventually(lambda: bool(of(subscriber, "verdict")), "a verdict")
        eventually(lambda: any(one["state"] == "degraded" for one in of(subscriber, "status")), "a status")
        status = of(subscriber, "status")[-1]
        assert "engine.kind: tensorrt needs" in status["reason"]
        assert status["engine"].startswith("openvino-")
        assert {one["model"]["engine"] for one in of(subscriber, "verdict")} == {status["engine"]}
        assert list((tmp_path / "engines").glob("openvino-*.engine"))
        assert agent.stop() == 0
    finally:
        agent.kill()
        subscriber.stop()


def of(subscriber: Subscriber, kind: str) -> list[dict[str, object]]:
    return [json.loads(one.payload) for one in list(subscriber.received) if f"/{kind}" in one.topic]
