"""An agent is paused, looked at and has a camera closed over a real broker, also across a restart of it."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.app import build
from agent.clock import SystemClock
from agent.crew import Crew
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from tests.agent.uplink.test_inbound import Mes
from tests.brokers import DEADLINE_S, Mosquitto, Subscriber, eventually

PREFIX = "plumbline/v1/site/area/line/station"


class Plant:
    """A running agent with two cameras that never end, and whoever asks it."""

    def __init__(self, folder: Path, broker: Mosquitto, bundle: Path) -> None:
        self.folder = folder
        self._bundle = bundle
        self.heard = Subscriber(broker.port, f"{PREFIX}/#")
        self.heard.start()
        self._mes = Mes(broker.port)
        self._port = broker.port
        self._asked = 0

    def close(self) -> None:
        self._mes.stop()
        self.heard.stop()

    @contextmanager
    def runs(self) -> Iterator[App]:
        """The agent, hearing commands, from its start to its end."""
        cameras = tuple(
            camera_settings.Camera(
                name=name,
                source=camera_settings.FolderSource(path=self.folder / "pictures", rate_hz=20, repeat=True),
            )
            for name in ("top", "side")
        )
        wanted = settings.Settings(
            bundle=self._bundle,
            cameras=cameras,
            engine=settings.Engine(kind="openvino", threads=1, cache=self.folder / "engines"),
            outbox=settings.Outbox(path=self.folder / "outbox.sqlite3", min_free_bytes=0),
            mqtt=settings.Mqtt(port=self._port),
            page=settings.Page(enabled=False),
        )
        crew = Crew()
        app = build(wanted, SystemClock(), crew)
        thread = threading.Thread(target=app.run)
        thread.start()
        try:
            eventually(lambda: app.parts.uplink.link.state.hears, "it hears commands")
            yield app
        finally:
            crew.stop.set()
            thread.join(4 * DEADLINE_S)
            assert not thread.is_alive()

    def ask(self, name: str, **args: Any) -> dict[str, Any]:
        """The last answer."""
        id_ = str(uuid.uuid4())
        command = {
            "schema": "plumbline.command/1",
            "id": id_,
            "expires": "2099-01-01T00:00:00Z",
            "args": args,
        }
        self._mes.send(json.dumps(command).encode(), topic=f"{PREFIX}/cmd/{name}")
        eventually(lambda: any(one["code"] != 202 for one in self.answers(id_)), f"{name} is answered")
        return self.answers(id_)[-1]

    def answers(self, id_: str) -> list[dict[str, Any]]:
        told = [one.json() for one in list(self.heard.received) if "/rsp/" in one.topic]
        return [one for one in told if one["id"] == id_]

    def told(self, topic: str) -> list[dict[str, Any]]:
        return [one.json() for one in list(self.heard.received) if f"/{topic}" in one.topic]

    def status(self) -> dict[str, Any]:
        """The latest that says who is stopped; nobody is, before there is one."""
        said = self.told("status")
        return said[-1] if said else {"paused": None, "disabled": {}}

    def until(self, topic: str, holds: Callable[[dict[str, Any]], bool], words: str) -> dict[str, Any]:
        """The first message from now on for which it holds."""
        before = len(self.told(topic))
        eventually(lambda: any(map(holds, self.told(topic)[before:])), words)
        return next(one for one in self.told(topic)[before:] if holds(one))


@pytest.fixture
def plant(tmp_path: Path, mosquitto: Mosquitto, bright: Path) -> Iterator[Plant]:
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (300, 300, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), noise)
    made = Plant(tmp_path, mosquitto, bright)
    yield made
    made.close()


@pytest.mark.slow
def test_a_pause_and_a_disabled_camera_hold_across_a_restart_and_stand_everywhere(plant: Plant) -> None:
    with plant.runs():
        plant.until("verdict/top", lambda one: one["verdict"] != "skipped", "it judges")
        paused = plant.ask("pause", reason="gripper", who="lead")["data"]["paused"]
        assert plant.ask("disable", camera="side", reason="lens", who="lead")["code"] == 200
        skipped = plant.until("verdict/top", lambda one: one["reason"] == "paused", "triggers are skipped")
        assert skipped["detail"] == f"paused since {paused['since']} by lead: gripper"
        eventually(lambda: plant.status()["paused"] and plant.status()["disabled"], "its status says so")
        status = plant.status()
        assert status["state"] == "degraded" and "gripper" in status["reason"]
        assert status["disabled"]["side"]["reason"] == "lens"
    with plant.runs() as app:
        plant.until("verdict/top", lambda one: one["reason"] == "paused", "it is paused still")
        cameras = {one.name: one for one in app.parts.board.snapshot().cameras}
        assert (cameras["side"].state, cameras["top"].state) == ("disabled", "streaming")
        assert cameras["side"].counts is None or cameras["side"].counts.frames == 0
        assert plant.ask("resume", who="lead")["data"] == {"was_paused": True}
        plant.until("verdict/top", lambda one: one["verdict"] != "skipped", "it judges again")
        assert plant.ask("enable", camera="side")["data"]["was_disabled"]
        plant.until("verdict/side", lambda one: True, "the camera is back")
        names = ["paused", "camera_disabled", "resumed", "camera_enabled"]
        assert [one["event"] for one in plant.told("event") if one["event"] in names] == names
        eventually(lambda: not (plant.status()["paused"] or plant.status()["disabled"]), "it is over")


@pytest.mark.slow
def test_a_snapshot_is_a_picture_of_the_line_now_paused_or_not(plant: Plant) -> None:
    with plant.runs():
        plant.until("verdict/top", lambda one: True, "there are pictures")
        for pause in (False, True):
            if pause:
                plant.ask("pause", reason="set-up")
                plant.until("verdict/top", lambda one: one["reason"] == "paused", "it is paused")
            data = plant.ask("snapshot", camera="top", max_bytes=20_000)["data"]
            jpeg = base64.b64decode(data["jpeg"])
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert len(jpeg) <= 20_000 and picture is not None
            assert picture.shape[:2] == (data["height"], data["width"])
            assert (data["reason"] == "paused") == pause and data["age_s"] < 30
        assert plant.ask("snapshot")["code"] == 422, "of two cameras one is named"


@pytest.mark.slow
def test_the_doctor_looks_while_the_line_judges_and_says_so_at_once(plant: Plant) -> None:
    with plant.runs():
        answer = plant.ask("doctor", family="disk")
        assert answer["code"] == 200 and answer["data"]["wrong"] + answer["data"]["good"] > 0
        assert plant.answers(answer["id"])[0]["code"] == 202
        assert plant.ask("calibrate")["data"] == {"kind": "impossible"}
