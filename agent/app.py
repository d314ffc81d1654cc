"""The composition root: the only file that knows every part.

`build` makes the parts by plain constructor calls, `App.run` opens them in the order of dependence,
watches them once a second, and closes them in reverse.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from agent.archive.archive import Archive, make_archive
from agent.archive.counted import ArchiveCounted
from agent.cameras.camera import Camera
from agent.cameras.counted import CameraCounted
from agent.cameras.life import CameraState, Life
from agent.cameras.make import can_wait, connections, is_simulated, patience
from agent.cameras.supervisor import Supervisor
from agent.clock import Clock, clock_synced, new_uuid7, rfc3339
from agent.contract import payloads
from agent.crew import Crew
from agent.engines.choice import look_around
from agent.engines.serving import Room
from agent.engines.switch import NONE, Switch
from agent.line.capture import Capture
from agent.line.drift import Drift
from agent.line.line import Line
from agent.line.publish import Publisher
from agent.line.recipe import Recipe, open_recipe
from agent.line.record import Origin
from agent.line.taught import Taught
from agent.messages import Scale
from agent.outbox.file import check_place
from agent.page.server import PageServer, make_server
from agent.remote import remote
from agent.remote.admission import turn_away
from agent.remote.remote import Remote
from agent.rolls.event import tell_roll
from agent.rolls.rolls import Roll, Rolls
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.camera import Source
from agent.status.board import Board
from agent.status.health import assess
from agent.status.metrics import Metrics
from agent.track.track import make_track
from agent.uplink import uplink
from agent.uplink.counted import Counted, show_depth
from agent.uplink.uplink import Uplink

log = structlog.get_logger()

VERSION = version("plumbline")  # once: it reads a file, and the last status must need none
WATCH_EVERY_S = 1.0
METRICS_EVERY_S = 10.0

MakeCamera = Callable[[str, Source, Clock], Callable[[], Camera]]  # one for each connection


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Every part of a running agent."""

    settings: settings.Settings
    clock: Clock
    boot_id: str
    engine: Switch
    room: Room
    cameras: dict[str, Supervisor]
    captures: dict[str, Capture]
    lines: dict[str, Line]
    uplink: Uplink
    remote: Remote
    board: Board
    metrics: Metrics
    rolls: Rolls
    drifts: dict[str, Drift]
    taught: dict[str, Taught]
    page: PageServer | None
    archive: Archive | None
    crew: Crew

    def run(self, duration_s: float | None = None) -> None:
        """Until the crew is told to stop, every camera has ended, or `duration_s` is over.

        A camera that is absent, lost or misconfigured ends nothing: the agent is degraded and says why.
        Raises the first failure of any part, after everything is closed.
        """
        with ExitStack() as last:  # undone from the bottom up, whatever any of it raises
            last.callback(self.engine.close)
            if self.page is not None:
                self.page.start()
                last.callback(self.page.stop)
            if self.archive is not None:
                self.archive.start()
                last.callback(self.archive.stop)  # behind the uplink, which commits the last records
            last.callback(lambda: self.uplink.stop(self._status("stopped", None)))
            self.uplink.start()
            last.callback(self.remote.stop)
            self.remote.start()
            last.callback(self._end_rolls)
            last.callback(self.crew.dismiss)
            self.crew.start("engines", self.room.run)
            for name, line in self.lines.items():
                self.crew.start(f"line-{name}", line.run)
            for name, camera in self.cameras.items():
                self.crew.start(f"camera-{name}", camera.run)
            self.crew.start("watch", self._watch)
            engine, bundle = self.engine.describe().name, self._recipe().bundle_sha256[:12]
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

    def _watch(self, stop: threading.Event) -> None:
        """Once a second: what the page and the broker should know, and whether a part has died."""
        said: tuple[str, str | None, str] | None = None
        metrics_due_ns = self.clock.monotonic_ns()
        counted, archived = Counted(self.metrics), ArchiveCounted(self.metrics)
        cameras = [(one, name, CameraCounted(name, self.metrics)) for name, one in self.cameras.items()]
        while not stop.wait(WATCH_EVERY_S):
            tidied = self.uplink.watch()
            self.remote.watch()
            state = self.uplink.link.state
            self.board.link_state("connected" if state.connected else "lost", state.reason)
            self.board.uplink_troubles(self.uplink.words())
            light = [drift.words() for drift in self.drifts.values()]
            light += [taught.words() for taught in self.taught.values()]
            self.board.light_troubles(tuple(words for words in light if words))
            self.board.engine_troubles((*self.room.words(), *self._archive_words()))
            engine = self.engine.describe().name
            self.board.engine(engine)
            depth = self.uplink.outbox.depth()
            show_depth(self.board, depth)
            counted.take(self.uplink, self.remote.desk, depth, tidied)
            for camera, name, camera_counted in cameras:
                counts = camera.counts()
                camera_counted.take(counts)
                self.board.camera_counts(name, counts)
            if self.archive is not None:
                archived.take(self.archive.counts())
            for roll in self.rolls.ended():
                self._map(roll)
            snapshot = self.board.snapshot()
            for view in snapshot.cameras:
                self.metrics.unjudged_ratio(view.name, view.work.tally.unjudged_share)
            health = assess(snapshot)
            degraded = health.state == "degraded"
            status: payloads.StatusName = "degraded" if degraded else "online"
            reasons = (*(health.causes if degraded else ()), *self.uplink.lacks())
            reason = "; ".join(reasons) or None  # how long would make it new every second
            if (status, reason, engine) != said:
                self.uplink.link.publish_status(self._status(status, reason))
                tell = log.warning if degraded else log.info
                tell("health", state=health.state, reasons=list(health.reasons))
                said = (status, reason, engine)
            if self.clock.monotonic_ns() >= metrics_due_ns:
                self.uplink.link.publish_metrics(json.dumps(self.metrics.snapshot()).encode())
                metrics_due_ns += round(METRICS_EVERY_S * 1e9)

    def _archive_words(self) -> tuple[str, ...]:
        return () if self.archive is None else self.archive.words()

    def _end_rolls(self) -> None:
        """The maps of the rolls that end with the agent, after their last record is committed."""
        if self.uplink.outbox.failure is None:
            self.uplink.outbox.append([]).result()
        for roll in self.rolls.close():
            self._map(roll)

    def _map(self, roll: Roll) -> None:
        wanted = next(camera for camera in self.settings.cameras if camera.name == roll.camera)
        if wanted.web.roll.folder is not None and self.uplink.outbox.failure is None:
            self.uplink.outbox.append([tell_roll(roll, wanted.web.roll.folder, self.uplink.events)])

    def _recipe(self) -> Recipe:
        """In force; all lines of a station are given the same."""
        return next(iter(self.lines.values())).recipe

    def _status(self, state: payloads.StatusName, reason: str | None) -> bytes:
        engine = self.engine.describe()
        return payloads.encode(
            _status_message(
                self._recipe(),
                self.settings.identity.station,
                self.boot_id,
                state,
                reason,
                rfc3339(self.clock.utc_now()),
                None if engine == NONE else engine.name,
            )
        )


def build(wanted: settings.Settings, clock: Clock, crew: Crew, *, make: MakeCamera = connections) -> App:
    """Open what must be right before anything runs: bundle, engine and outbox; make the rest.

    Raises a PlumblineError naming what is wrong: bundle, engine or outbox.
    """
    check_place(wanted.outbox.path)  # before the engines' cache makes a folder beside it
    metrics = Metrics([camera.name for camera in wanted.cameras])
    opened = open_recipe(wanted, look_around(), failed=metrics.engine_failed)
    recipe = opened.recipe
    boot_id = new_uuid7(clock)
    last_will = payloads.encode(
        _status_message(recipe, wanted.identity.station, boot_id, "offline", "connection lost", None, None)
    )
    up = uplink.build(
        wanted,
        boot_id=boot_id,
        last_will=last_will,
        clock=clock,
        new_id=lambda: new_uuid7(clock),
        turn_away=turn_away,
    )
    asked = remote.build(up, wanted, clock)
    board = Board(
        station=wanted.identity.station,
        version=VERSION,
        clock=clock,
        max_unjudged_share=wanted.health.max_unjudged_share,
    )
    serving = recipe.engine.describe()
    board.serving(
        engine=serving.name,
        bundle=recipe.bundle,
        bundle_sha256=recipe.bundle_sha256,
        threshold=recipe.rules_of(wanted.cameras[0].name).threshold_in(serving.precision),
        provisional_rate=recipe.provisional_rate,
    )
    scales = _scales(wanted.cameras)
    rolls = Rolls(
        {one.name: one.web.roll.lines for one in wanted.cameras if one.web.roll.folder is not None},
        scales,
        clock,
    )
    archive = make_archive(wanted.archive, clock)
    publisher = Publisher(
        outbox=up.outbox,
        topics=up.events.topics,
        origin=Origin(
            station=wanted.identity.station,
            boot_id=boot_id,
            simulated=frozenset(one.name for one in wanted.cameras if is_simulated(one.source)),
            scales=scales,
        ),
        clock=clock,
        clock_synced=clock_synced,
        new_id=lambda: new_uuid7(clock),
        board=board,
        metrics=metrics,
        first_sequence=up.outbox.last_sequence() + 1,
        bindings=asked.bindings,
        rolls=rolls,
        keep=None if archive is None else archive.recorded,
    )
    drifts = {one.name: Drift(one.name) for one in wanted.cameras if one.flat_field.file is not None}
    taught = {one.name: Taught(f"Camera {one.name}", bundle=recipe.bundle) for one in wanted.cameras}
    captures = {
        camera.name: Capture(wanted.line.mode, wanted.line.ring_frames, source_waits=can_wait(camera.source))
        for camera in wanted.cameras
    }
    cameras = {
        camera.name: _supervisor(camera, make, captures[camera.name], clock, board)
        for camera in wanted.cameras
    }
    lines = {
        camera.name: Line(
            camera=camera.name,
            capture=captures[camera.name],
            recipe=recipe,
            publisher=publisher,
            clock=clock,
            drift=drifts.get(camera.name),
            taught=taught[camera.name],
            restored=wanted.page.enabled,
        )
        for camera in wanted.cameras
    }
    return App(
        settings=wanted,
        clock=clock,
        boot_id=boot_id,
        engine=opened.engine,
        room=opened.room,
        cameras=cameras,
        captures=captures,
        lines=lines,
        uplink=up,
        remote=asked,
        board=board,
        metrics=metrics,
        rolls=rolls,
        drifts=drifts,
        taught=taught,
        page=make_server(board, metrics, wanted.page),
        archive=archive,
        crew=crew,
    )


def _supervisor(
    wanted: camera_settings.Camera, make: MakeCamera, capture: Capture, clock: Clock, board: Board
) -> Supervisor:
    def report(state: CameraState, detail: str) -> None:
        board.camera_state(wanted.name, state, detail)

    report("closed", "")
    return Supervisor(
        name=wanted.name,
        make=make(wanted.name, wanted.source, clock),
        make_track=lambda: make_track(wanted),
        life=Life(patience(wanted), random.Random()),
        capture=capture,
        clock=clock,
        report=report,
    )


def _scales(cameras: tuple[camera_settings.Camera, ...]) -> dict[str, Scale]:
    """Of the frames that are judged: square pixels have the pitch of pixels in both directions."""
    return {
        camera.name: Scale(
            mm_per_px=camera.web.mm_per_px,
            mm_per_line=camera.web.mm_per_px if camera.web.square_pixels else camera.web.mm_per_line,
        )
        for camera in cameras
        if camera.web.mm_per_px is not None and camera.web.mm_per_line is not None
    }


def _status_message(
    recipe: Recipe,
    station: str,
    boot_id: str,
    state: payloads.StatusName,
    reason: str | None,
    since: str | None,
    engine: str | None,
) -> payloads.Status:
    return payloads.Status(
        state=state,
        reason=reason,
        station=station,
        boot_id=boot_id,
        versions={"plumbline": VERSION},
        bundle_sha256=recipe.bundle_sha256,
        settings_sha256=recipe.settings.sha256,
        engine=engine,
        since=since,
    )
