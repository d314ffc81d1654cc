"""A running agent: its parts are opened in the order of dependence and closed from the bottom up; other
settings are taken over as far as that needs no other run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from agent.bundle.bundle import Bundle
from agent.cameras.anew import Anew
from agent.cameras.make import MakeCamera, anew, is_alike
from agent.clock import Clock
from agent.crew import Crew
from agent.errors import PlumblineError
from agent.page.server import PageServer
from agent.remote.settings.run import SettingsRun
from agent.settings.reach import opened_anew
from agent.settings.settings import Settings
from agent.status.parts import Parts
from agent.status.vigil import Vigil
from agent.status.watch import Watch
from agent.teach.station import Teaching

log = structlog.get_logger()

ATTEND_EVERY_S = 0.2
SETTLE_S = 5.0  # for the last records, at a stop
LET_GO_S = 1.0  # for a camera whose ring is full; it is opened anew all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Every part of a running agent."""

    clock: Clock
    parts: Parts
    watch: Watch
    vigil: Vigil | None
    page: PageServer | None
    teaching: Teaching
    crew: Crew
    settings_run: SettingsRun
    make: MakeCamera

    def run(self, duration_s: float | None = None, attend: Callable[[App], bool] = lambda app: True) -> None:
        """Until the crew is told to stop, every camera has ended, the time is over, or `attend` says False.

        `attend` is asked in this thread, once everything runs and then every ATTEND_EVERY_S.

        A camera that is absent, lost or misconfigured ends nothing: the agent is degraded and says why.
        Raises the first failure of any part, after everything is closed.
        """
        parts, status = self.parts, self.watch.status
        with ExitStack() as last:  # undone from the bottom up, whatever any of it raises
            last.push(lambda kind, error, trace: parts.rollouts.end(in_order=kind is None))
            last.callback(parts.recipes.bundles.close)
            if self.page is not None:
                last.callback(self.page.stop)
            if parts.archive is not None:
                parts.archive.start()
                last.callback(parts.archive.stop)  # behind the uplink, which commits the last records
            last.callback(parts.day.save)  # behind the uplink, as the archive
            last.callback(lambda: parts.uplink.stop(status.message("stopped", None)))
            if self.page is not None:  # its port may be taken: the outbox must be let go of then
                self.page.start()
            parts.uplink.start()
            last.callback(parts.marks.stop)  # it has the outbox take marks
            parts.marks.start()
            last.callback(parts.remote.stop)
            parts.remote.start()
            last.callback(self._end_parts)
            last.callback(self._end_rolls)
            last.callback(self.crew.dismiss)
            self.crew.start("engines", parts.recipes.bundles.run)
            self.crew.start("recipes", parts.recipes.run)
            self.crew.start("labels", parts.namer.run)
            for name, member in parts.outputs.members():
                self.crew.start(name, member)
            if parts.part_verdicts is not None:
                self.crew.start("parts", parts.part_verdicts.run)
            for name, line in parts.lines.items():
                self.crew.start(f"line-{name}", line.run)
            for name, camera in parts.cameras.items():
                self.crew.start(f"camera-{name}", camera.run)
            self.crew.start("rollouts", parts.rollouts.run)
            self.crew.start("teach", self.teaching.run)
            self.crew.start("watch", self.watch.run)
            if self.vigil is not None:
                self.crew.start("vigil", self.vigil.run)
            bundle = status.recipe().bundle_sha256[:12]
            log.info("running", boot_id=status.boot_id, engine=status.engine(), bundle=bundle)
            self._wait(duration_s, attend)
        log.info("stopped", last_sequence=parts.uplink.outbox.last_sequence())

    def take_over(self, wanted: Settings) -> None:
        """Have every line judge by these settings from its next frame on; bundle and engine stay.

        Cameras whose own settings are others are opened anew, and their lines judge by these what is captured
        then. Raises BundleError or NotTrusted; then those before are in force.
        """
        recipes = self.parts.recipes
        before = recipes.settings
        from_ns = self._open_anew(before, wanted)
        try:
            recipes.take_over(wanted, from_ns)
        except PlumblineError:
            self._open_anew(wanted, before)
            raise
        self.parts.remote.log_level.take_over(wanted.logs.level)

    @property
    def bundle(self) -> Bundle:
        """The station's that is in force."""
        return self.parts.recipes.station.bundle

    def can_take_over(self, wanted: Settings) -> bool:
        """Whether each camera to be opened anew still runs, and stays what it is to ring and records."""
        before = self.parts.recipes.settings
        cameras = [(before.cameras[one], wanted.cameras[one]) for one in opened_anew(before, wanted)]
        return all(
            is_alike(one.source, other.source) and self.crew.is_alive(f"camera-{one.name}")
            for one, other in cameras
        )

    def _open_anew(self, before: Settings, wanted: Settings) -> dict[str, int]:
        """Since when what these cameras capture is by the wanted settings, by name."""
        opened: dict[str, Anew] = {}
        for number in opened_anew(before, wanted):
            one = wanted.cameras[number]
            opened[one.name] = anew(before.cameras[number], one, self.clock, self.make)
            self.parts.drift.watch_light(one)
            self.parts.cameras[one.name].open_anew(opened[one.name])
        for each in opened.values():
            each.let_go.wait(LET_GO_S)
        return {name: each.let_go_ns or self.clock.monotonic_ns() for name, each in opened.items()}

    def _wait(self, duration_s: float | None, attend: Callable[[App], bool]) -> None:
        ends_ns = None if duration_s is None else self.clock.monotonic_ns() + round(duration_s * 1e9)
        while not self.crew.stop.is_set() and attend(self):
            self.crew.wait(ATTEND_EVERY_S)
            if ends_ns is not None and self.clock.monotonic_ns() >= ends_ns:
                return
            if not any(self.crew.is_alive(f"line-{name}") for name in self.parts.lines):
                return

    def _end_parts(self) -> None:
        """Part verdicts of the last records; what is still open is decided after the next start."""
        outbox, part_verdicts = self.parts.uplink.outbox, self.parts.part_verdicts
        if part_verdicts is None:
            return
        if outbox.failure is None and outbox.settle(SETTLE_S):
            part_verdicts.finish()
        else:
            part_verdicts.close()

    def _end_rolls(self) -> None:
        """The maps of the rolls that end with the agent, after their last record is committed."""
        outbox = self.parts.uplink.outbox
        if outbox.failure is None and outbox.settle(SETTLE_S):
            self.parts.roll_maps.end()
        self.watch.check()
