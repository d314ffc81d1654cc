"""Once a second: every part is asked how it does, and page, broker and log are told what is new."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import structlog

from agent.clock import Clock
from agent.contract.payloads import StatusName
from agent.crew import name_threads
from agent.status.frozen import FrozenCameras
from agent.status.health import assess
from agent.status.metrics import Metrics
from agent.status.parts import Parts
from agent.status.said import Status
from agent.status.snapshot import OutboxReader
from agent.systemd import Manager

log = structlog.get_logger()

WATCH_EVERY_S = 1.0
METRICS_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the status message says, but for how long."""

    state: StatusName
    reason: str | None
    engine: str | None
    bundle_sha256: str
    settings_sha256: str


@dataclass(slots=True, kw_only=True)
class Watch:
    """A member of the agent's crew: what a part raises when it is asked ends the agent."""

    parts: Parts
    refused: Callable[[], Iterable[str]]  # settings, one sentence each
    check: Callable[[], None]  # raises what a part could not raise where it failed
    metrics: Metrics
    frozen: FrozenCameras
    status: Status
    manager: Manager
    clock: Clock
    looks: int = 0  # since the start

    def run(self, stop: threading.Event) -> None:
        said: _Said | None = None
        metrics_due_ns = self.clock.monotonic_ns()
        while not stop.wait(WATCH_EVERY_S):
            name_threads()
            self._look()
            self.looks += 1
            said = self._tell(said)
            if self.clock.monotonic_ns() >= metrics_due_ns:
                self.parts.uplink.link.publish_metrics(json.dumps(self.metrics.snapshot()).encode())
                metrics_due_ns += round(METRICS_EVERY_S * 1e9)

    def _look(self) -> None:
        parts = self.parts
        self.check()
        parts.uplink.watch()
        parts.remote.watch()
        parts.roll_maps.watch()
        parts.day.watch()
        parts.drift.watch()
        link, depth = parts.uplink.link.state, parts.uplink.outbox.depth()
        parts.board.link_state("connected" if link.connected else "lost", link.reason)
        parts.board.outbox_depth(
            rows=depth.rows,
            size_bytes=depth.bytes,
            oldest_s=depth.oldest_s,
            readers=tuple(OutboxReader(**asdict(one)) for one in depth.readers),
        )
        for source, words in {**parts.troubles(), "settings": self.refused()}.items():
            parts.board.trouble(source, tuple(words))
        for name, camera in parts.cameras.items():
            parts.board.camera_counts(name, camera.counts())

    def _tell(self, said: _Said | None) -> _Said:
        """Publish the status where it is another one."""
        snapshot = self.parts.board.snapshot()
        self.frozen.look(snapshot.cameras)
        health = assess(snapshot)
        degraded = health.state == "degraded"
        reasons = (*(health.causes if degraded else ()), *self.parts.uplink.lacks())
        reason = "; ".join(reasons) or None  # how long would make it new every second
        recipe = self.status.recipe()
        now = _Said(
            state="degraded" if degraded else "online",
            reason=reason,
            engine=self.status.engine(),
            bundle_sha256=recipe.bundle_sha256,
            settings_sha256=recipe.settings.sha256,
        )
        if now != said:
            self.manager.status(f"{health.state.capitalize()}{': ' * bool(reasons)}{reason or ''}")
            self.parts.uplink.link.publish_status(self.status.message(now.state, reason))
            tell = log.warning if degraded else log.info
            tell("health", state=health.state, reasons=list(health.reasons))
        return now
