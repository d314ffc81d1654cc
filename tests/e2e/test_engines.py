"""A running agent says which engine serves, and that it is not the one that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.engines.gpu.device import find_gpu
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import STATION, AgentProcess

pytest.importorskip("elpv_dataset")


@pytest.mark.slow
@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_an_agent_that_cannot_have_its_engine_judges_with_the_next_and_is_degraded(
    tmp_path: Path, mosquitto: Mosquitto, bright: Path
) -> None:
    agent = AgentProcess(tmp_path, broker_port=mosquitto.port, bundle=bright, cells=4)
    agent.settings["engine"] = {"kind": "tensorrt", "threads": 1}
    subscriber = Subscriber(mosquitto.port, f"{STATION}/#")
    subscriber.start()
    agent.start()
    try:
        eventually(lambda: any(is_by_openvino(one) for one in of(subscriber, "status")), "it is degraded")
        status = next(one for one in of(subscriber, "status") if is_by_openvino(one))
        assert "engine.kind: tensorrt needs" in status["reason"]
        eventually(lambda: status["engine"] in engines(subscriber), "the next one judges")
        assert engines(subscriber) <= {"onnxruntime-f32", status["engine"]}  # until OpenVINO is compiled
        assert list((tmp_path / "engines").glob("openvino-*.engine"))
        assert agent.stop() == 0
    finally:
        agent.kill()
        subscriber.stop()


def is_by_openvino(status: dict[str, Any]) -> bool:
    return status["state"] == "degraded" and status["engine"].startswith("openvino-")


def engines(subscriber: Subscriber) -> set[str]:
    """Which ones have judged."""
    return {one["model"]["engine"] for one in of(subscriber, "verdict")}


def of(subscriber: Subscriber, kind: str) -> list[dict[str, Any]]:
    return [one.json() for one in list(subscriber.received) if f"/{kind}" in one.topic]
