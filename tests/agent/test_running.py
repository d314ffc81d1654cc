"""What other settings reach while a station runs: one camera is opened anew, and the other loses no frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.app import build
from agent.bundle.bundle import BundleError
from agent.cameras.camera import Camera, EndOfStream
from agent.clock import Clock, SystemClock
from agent.crew import Crew
from agent.messages import Frame
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.camera import FolderSource, GenicamSource, Source, VideoSource
from agent.settings.recipes import Recipe
from agent.settings.web import FlatField
from tests.agent.cameras.scripted import eventually
from tests.agent.engines.small_bundle import write_small
from tests.agent.line.records import verdicts


def wanted(folder: Path) -> settings.Settings:
    return settings.Settings(
        bundle=write_small(folder / "small"),
        cameras=tuple(
            camera_settings.Camera(name=name, source=VideoSource(url=f"rtsp://{name}"), silence_timeout_s=30)
            for name in ("top", "side")
        ),
        engine=settings.Engine(kind="openvino", threads=1, cache=folder / "engines"),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        mqtt=settings.Mqtt(port=1),
        page=settings.Page(enabled=False),
    )


def with_side(before: settings.Settings, **update: Any) -> settings.Settings:
    top, side = before.cameras
    cameras = (top, side.model_copy(update=update))
    return before.model_copy(update={"cameras": cameras, "revision": before.revision + 1})


@dataclass
class Plant:
    """Two cameras that give a frame now and then; what was opened, and who has a camera now."""

    opened: list[tuple[str, Source]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    most_held: int = 0  # by one camera at a time
    given: dict[str, int] = field(default_factory=lambda: {"top": 0, "side": 0})
    ended: set[str] = field(default_factory=set)

    def make(self, name: str, source: Source, clock: Clock) -> Callable[[], Camera]:
        return lambda: Ticking(self, name, source, clock)


@dataclass
class Ticking:
    plant: Plant
    name: str
    source: Source
    clock: Clock
    frames: int = 0

    def open(self) -> None:
        self.plant.opened.append((self.name, self.source))
        self.plant.held.append(self.name)
        self.plant.most_held = max(self.plant.most_held, self.plant.held.count(self.name))

    def grab(self, timeout_s: float) -> Frame | None:
        if self.name in self.plant.ended:
            raise EndOfStream
        time.sleep(0.1)
        self.frames += 1
        self.plant.given[self.name] += 1
        return Frame(
            camera=self.name,
            frame_id=self.frames - 1,
            image=np.full((64, 64, 1), 90, np.uint8),
            captured_ns=self.clock.monotonic_ns(),
            captured_at=self.clock.utc_now(),
        )

    def close(self) -> None:
        self.plant.held.remove(self.name)


@dataclass
class Station:
    app: App
    plant: Plant

    def of(self, camera: str) -> list[dict[str, Any]]:
        found = verdicts(self.app.parts.uplink.outbox.path)
        return [one for one in found if one["camera"] == camera]

    def goes_on(self) -> None:
        for camera in ("top", "side"):
            more = len(self.of(camera)) + 3

            def is_there(camera: str = camera, more: int = more) -> bool:
                return len(self.of(camera)) >= more

            eventually(is_there, f"{camera} goes on")


@contextmanager
def running(folder: Path) -> Iterator[Station]:
    crew, plant = Crew(), Plant()
    app = build(wanted(folder), SystemClock(), crew, make=plant.make)
    thread = threading.Thread(target=app.run)
    thread.start()
    try:
        yield Station(app, plant)
    finally:
        crew.stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_one_camera_is_opened_anew_and_the_other_loses_no_frame(tmp_path: Path) -> None:
    with running(tmp_path) as station:
        station.goes_on()
        before = station.app.parts.recipes.settings
        after = with_side(before, source=VideoSource(url="rtsp://elsewhere"))
        assert station.app.can_take_over(after)
        station.app.take_over(after)
        station.goes_on()
        counts = {name: one.counts() for name, one in station.app.parts.cameras.items()}
    top, side = station.of("top"), station.of("side")
    assert [one["frame"]["id"] for one in top] == list(range(len(top)))
    assert station.plant.given["top"] - len(top) in (0, 1)  # the last one may come after the stop
    assert [one["frame"]["id"] for one in side] == list(range(len(side)))
    assert sorted(name for name, _ in station.plant.opened) == ["side", "side", "top"]
    assert station.plant.opened[-1][1] == VideoSource(url="rtsp://elsewhere")
    assert station.plant.most_held == 1
    assert (counts["top"].epoch, counts["side"].epoch) == (0, 1)
    sequences = sorted(one["sequence"] for one in (*top, *side))
    assert sequences == list(range(sequences[0], sequences[-1] + 1))
    for each in (top, side):  # each names the settings before, and from one frame on those that came
        shas = [one["settings"]["sha256"] for one in each]
        first = shas.index(after.digest())
        assert set(shas[:first]) == {before.digest()} and set(shas[first:]) == {after.digest()}


def test_a_camera_of_another_kind_to_the_records_takes_another_run(tmp_path: Path) -> None:
    with running(tmp_path) as station:
        station.goes_on()
        before = station.app.parts.recipes.settings
        assert not station.app.can_take_over(with_side(before, source=FolderSource(path=tmp_path)))
        assert station.app.can_take_over(with_side(before, source=GenicamSource(address="10.0.0.3")))
        station.goes_on()


def test_a_camera_that_has_come_to_its_end_takes_another_run(tmp_path: Path) -> None:
    with running(tmp_path) as station:
        station.goes_on()
        station.plant.ended.add("side")
        eventually(lambda: not station.app.crew.is_alive("camera-side"), "it has ended")
        before = station.app.parts.recipes.settings
        assert not station.app.can_take_over(with_side(before, silence_timeout_s=3))
        assert station.app.can_take_over(before.model_copy(update={"revision": 3}))


def test_where_the_lines_cannot_take_them_the_camera_is_as_it_was(tmp_path: Path) -> None:
    with running(tmp_path) as station:
        station.goes_on()
        before = station.app.parts.recipes.settings
        bad = with_side(before, source=VideoSource(url="rtsp://elsewhere")).model_copy(
            update={"recipes": (Recipe(name="a", bundle=tmp_path / "nowhere", is_default=True),)}
        )
        with pytest.raises(BundleError, match="nowhere"):
            station.app.take_over(bad)
        station.goes_on()
        assert station.plant.opened[-1] == ("side", before.cameras[1].source)
        assert station.app.parts.recipes.settings == before


def test_a_light_is_watched_from_then_on_where_a_flat_field_comes(tmp_path: Path) -> None:
    with running(tmp_path) as station:
        station.goes_on()
        before = station.app.parts.recipes.settings
        station.app.take_over(with_side(before, flat_field=FlatField(file=tmp_path / "none")))
        assert set(station.app.parts.drift.lights) == {"side"}
        eventually(
            lambda: "none" in " ".join(one.detail for one in station.app.parts.board.snapshot().cameras),
            "its camera tells of the calibration that is not there",
        )
        station.app.take_over(before)
        assert not station.app.parts.drift.lights
        station.goes_on()
