"""Two products and a bundle for each, as a process: each part by its own recipe, none by another's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as paho
import pytest

from agent.bundle.bundle import open_bundle, write_bundle
from agent.clock import SystemClock, new_uuid7
from agent.demo.cells import load_cells
from agent.demo.demo import choose_cells
from tests.brokers import HOST, Subscriber, eventually
from tests.e2e.agent_process import STATION, AgentProcess
from tests.e2e.test_agent import verdicts

NAMES = ("5BB-000001", "6BB-000001", "9BB-000001", "5BB-000002", "6BB-000002", "9BB-000002")

pytestmark = pytest.mark.slow


def other(bundle: Path, folder: Path) -> Path:
    """The bundle with another threshold."""
    sample = open_bundle(bundle)
    threshold = sample.manifest.threshold.model_copy(update={"raw": sample.manifest.threshold.raw * 1.1})
    manifest = sample.manifest.model_copy(update={"name": "other", "threshold": threshold})
    files = {name: data for name, data in sample.files.items() if name in manifest.files}
    write_bundle(folder / "other", manifest, files, None)
    return folder / "other"


def judge_by_product(agent: AgentProcess, first: Path, folder: Path) -> str:
    """Cells whose names say the product, one after the other, for ever; the second product's bundle."""
    frames = folder / "products"
    frames.mkdir()
    for cell, name in zip(choose_cells(load_cells()), NAMES, strict=False):
        cv2.imwrite(str(frames / f"{name}.png"), cv2.imread(str(cell.image), cv2.IMREAD_GRAYSCALE))
    agent.settings["cameras"] = [
        {"name": "top", "source": {"kind": "folder", "path": str(frames), "rate_hz": 20.0, "repeat": True}}
    ]
    bundle = other(first, folder)
    agent.settings["recipes"] = [
        {"name": "five", "parts": ["5BB-\\d{6}"], "cameras": [{"camera": "top", "threshold": 1e-6}]},
        {
            "name": "six",
            "parts": ["6BB-\\d{6}"],
            "products": ["M-6"],
            "bundle": str(bundle),
            "cameras": [{"camera": "top", "threshold": 1e6}],
        },
    ]
    return open_bundle(bundle).sha256


def command(port: int, name: str, arguments: dict[str, Any]) -> Callable[[], None]:
    """Said on a connection of its own."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect(HOST, port)
    client.loop_start()
    payload = {
        "schema": "plumbline.command/1",
        "id": new_uuid7(SystemClock()),
        "expires": "2099-01-01T00:00:00Z",
        "args": arguments,
    }
    client.publish(f"{STATION}/cmd/{name}", json.dumps(payload), qos=1).wait_for_publish(10)

    def end() -> None:
        client.disconnect()
        client.loop_stop()

    return end


def test_each_part_is_judged_by_the_recipe_and_the_bundle_of_its_product(
    agent: AgentProcess, subscriber: Subscriber, tmp_path: Path, bright: Path
) -> None:
    second = judge_by_product(agent, bright, tmp_path)
    agent.start()
    eventually(lambda: len(verdicts(subscriber)) >= 2 * len(NAMES), "all products were there twice")
    end = command(agent.settings["mqtt"]["port"], "bind", {"product": "M-6"})  # type: ignore[index]
    eventually(
        lambda: any(one["recipe_id"] == "six" and "5BB" in one["part_id"] for one in verdicts(subscriber)),
        "what the MES says counts before the id",
    )
    end()
    assert agent.stop() == 0, agent.log()
    found = verdicts(subscriber)
    assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
    first = open_bundle(bright).sha256
    by_id = {"5": ("five", "fail", first), "6": ("six", "pass", second)}
    foreign = [one["recipe_id"] == "six" and not one["part_id"].startswith("6BB") for one in found]
    bound = foreign.index(True)
    for one in (one for one in found[:bound] if one["reason"] != "stopped"):
        if one["part_id"].startswith("9BB"):
            assert (one["verdict"], one["reason"], one["recipe_id"]) == ("undecided", "unknown_product", "")
            continue
        assert (one["recipe_id"], one["verdict"], one["model"]["sha256"]) == by_id[one["part_id"][0]]
    for one in (one for one in found[bound:] if one["reason"] != "stopped"):
        assert (one["recipe_id"], one["verdict"], one["model"]["sha256"]) == ("six", "pass", second)
