"""The composition root: the only file that knows every part.

`build` makes the parts by plain constructor calls, `App.run` opens them in the order of dependence,
watches them once a second, and closes them in reverse.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from agent import engines, settings
from agent.bundle import Bundle, open_bundle
from agent.camera_settings import Source
from agent.cameras.camera import Camera
from agent.cameras.supervisor import run_camera
from agent.cameras.table import make_camera
from agent.clock import Clock, clock_synced, new_uuid7, rfc3339
from agent.crew import Crew
from agent.engines.engine import Engine
from agent.line.capture import Capture
from agent.line.judge import Rules
from agent.line.line import Line
from agent.line.publish import Origin, Publisher
from agent.messages import ModelMessage, SettingsMessage
from agent.status.board import Board
from agent.status.health import assess
from agent.status.metrics import Metrics
from agent.status.server import PageServer
from agent.uplink import payloads, uplink
from agent.uplink.counted import Counted
from agent.uplink.uplink import Uplink
from agent.web.flatfield import load
from agent.web.windows import Web

log = structlog.get_logger()

WATCH_EVERY_S = 1.0
METRICS_EVERY_S = 10.0

MakeCamera = Callable[[str, Source, Clock], Camera]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Every part of a running agent."""

    settings: settings.Settings
    clock: Clock
    boot_id: str
    bundle: Bundle
    engine: Engine
    cameras: dict[str, Camera]
    captures: dict[str, Capture]
    lines: dict[str, Line]
    uplink: Uplink
    board: Board
    metrics: Metrics
    page: PageServer | None
    crew: Crew

    def run(self, duration_s: float | None = None) -> None:
        """Until the crew is told to stop, every camera has ended, or `duration_s` is over.

        Raises the first failure of any part, after everything is closed.
        """
        with ExitStack() as last:  # undone from the bottom up, whatever any of it raises
            last.callback(self.engine.close)
            if self.page is not None:
                self.page.start()
                last.callback(self.page.stop)
            last.callback(lambda: self.uplink.stop(self._status("stopped", None)))
            self.uplink.start()
            last.callback(self.crew.dismiss)
            for name, line in self.lines.items():
                self.crew.start(f"line-{name}", line.run)
            for name in self.cameras:
                self.crew.start(f"camera-{name}", self._camera_runner(name))
            self.crew.start("watch", self._watch)
            engine, bundle = self.engine.describe().name, self.bundle.sha256[:12]
            log.info("running", boot_id=self.boot_id, engine=engine, bundle=bundle)
            self._wait(duration_s)
        log.info("stopped", last_sequence=self.uplink.outbox.last_sequence())

    def _wait(self, duration_s: float | None) -> None:
        ends_ns = None if duration_s is None else self.clock.monotonic_ns() + round(duration_s * 1e9)
        while not self.crew.stop.is_set():
            self.crew.wait(0.2)
            if ends_ns is not None and self.clock.monotonic_ns() >= ends_ns:
                return
            if not any(self.crew.is_alive(f"line-{name}") for name in self.lines):
                return

    def _camera_runner(self, name: str) -> Callable[[threading.Event], None]:
        wanted = next(camera for camera in self.settings.cameras if camera.name == name)

        def run(stop: threading.Event) -> None:
            run_camera(
                self.cameras[name],
                Web(wanted.web.window_lines),
                load(wanted.flat_field),
                self.captures[name],
                stop,
                self.clock,
                lambda state, detail: self.board.camera_state(name, state, detail),
            )

        return run

    def _watch(self, stop: threading.Event) -> None:
        """Once a second: what the page and the broker should know, and whether a part has died."""
        said: tuple[str, str | None] | None = None
        metrics_due_ns = self.clock.monotonic_ns()
        counted = Counted(self.metrics)
        while not stop.wait(WATCH_EVERY_S):
            tidied = self.uplink.watch()
            state = self.uplink.link.state
            self.board.link_state("connected" if state.connected else "lost", state.reason)
            self.board.uplink_troubles(self.uplink.words())
            depth = self.uplink.outbox.depth()
            self.board.outbox_depth(rows=depth.rows, size_bytes=depth.bytes, oldest_s=depth.oldest_s)
            counted.take(self.uplink, depth, tidied)
            health = assess(self.board.snapshot())
            now = ("degraded", "; ".join(health.reasons)) if health.state == "degraded" else ("online", None)
            if now != said:
                self.uplink.link.publish_status(self._status(*now))
                said = now
            if self.clock.monotonic_ns() >= metrics_due_ns:
                self.uplink.link.publish_metrics(json.dumps(self.metrics.snapshot()).encode())
                metrics_due_ns += round(METRICS_EVERY_S * 1e9)

    def _status(self, state: payloads.StatusName, reason: str | None) -> bytes:
        return payloads.encode(
            _status_message(
                self.settings, self.boot_id, self.bundle, state, reason, rfc3339(self.clock.utc_now())
            )
        )


def build(wanted: settings.Settings, clock: Clock, crew: Crew, *, make: MakeCamera = make_camera) -> App:
    """Open what must be right before anything runs: bundle, engine and outbox; make the rest.

    Raises a PlumblineError naming what is wrong: bundle, engine, camera source or outbox.
    """
    bundle = open_bundle(wanted.bundle)
    cameras = {camera.name: make(camera.name, camera.source, clock) for camera in wanted.cameras}
    engine = engines.open_engine(bundle, wanted.engine)
    threshold = wanted.judge.threshold or bundle.at(engine.describe().precision).manifest.threshold.raw
    boot_id = new_uuid7(clock)
    last_will = payloads.encode(_status_message(wanted, boot_id, bundle, "offline", "connection lost", None))
    up = uplink.build(
        wanted, boot_id=boot_id, last_will=last_will, clock=clock, new_id=lambda: new_uuid7(clock)
    )
    board = Board(station=wanted.identity.station, version=version("plumbline"), clock=clock)
    metrics = Metrics(list(cameras))
    board.serving(
        engine=engine.describe().name,
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.sha256,
        threshold=threshold,
    )
    publisher = Publisher(
        outbox=up.outbox,
        topics=up.events.topics,
        origin=_origin(wanted, boot_id, bundle, engine, clock),
        crops=wanted.crops,
        clock=clock,
        board=board,
        metrics=metrics,
        first_sequence=up.outbox.last_sequence() + 1,
    )
    captures = {name: Capture(wanted.line.mode, wanted.line.ring_frames) for name in cameras}
    lines = {
        camera.name: Line(
            capture=captures[camera.name],
            spec=bundle.manifest.input,
            engine=engine,
            rules=Rules(
                threshold=threshold,
                scale=bundle.manifest.input.scale,
                stride_px=bundle.manifest.map.stride_px,
                min_area_px=wanted.judge.min_area_px,
                max_invalid_ratio=camera.web.max_invalid_ratio,
            ),
            publisher=publisher,
            clock=clock,
        )
        for camera in wanted.cameras
    }
    return App(
        settings=wanted,
        clock=clock,
        boot_id=boot_id,
        bundle=bundle,
        engine=engine,
        cameras=cameras,
        captures=captures,
        lines=lines,
        uplink=up,
        board=board,
        metrics=metrics,
        page=PageServer(board, metrics, host=wanted.page.host, port=wanted.page.port)
        if wanted.page.enabled
        else None,
        crew=crew,
    )


def _origin(wanted: settings.Settings, boot_id: str, bundle: Bundle, engine: Engine, clock: Clock) -> Origin:
    return Origin(
        station=wanted.identity.station,
        boot_id=boot_id,
        model=ModelMessage(bundle=bundle.manifest.name, sha256=bundle.sha256, engine=engine.describe().name),
        settings=SettingsMessage(version=wanted.revision, sha256=wanted.digest()),
        simulated=frozenset(camera.name for camera in wanted.cameras if camera.source.kind == "linescan-sim"),
        clock_synced=clock_synced,
        new_id=lambda: new_uuid7(clock),
    )


def _status_message(
    wanted: settings.Settings,
    boot_id: str,
    bundle: Bundle,
    state: payloads.StatusName,
    reason: str | None,
    since: str | None,
) -> payloads.Status:
    return payloads.Status(
        state=state,
        reason=reason,
        station=wanted.identity.station,
        boot_id=boot_id,
        versions={"plumbline": version("plumbline")},
        bundle_sha256=bundle.sha256,
        settings_sha256=wanted.digest(),
        since=since,
    )
