"""The watchdog is fed by progress: every stage has moved lately, or says why it cannot.

A process whose line stands answers pings and serves pages for ever. Here each stage is asked for something
that changes when it moves. From half the manager's time on, a stage that stands is named in the log and the
manager hears nothing; after three quarters it is asked to act, so that it does within its time after the
stage stood still. Stages stand in the order of blame: one that is stuck behind another comes later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from agent.cameras.supervisor import Supervisor
from agent.clock import Clock
from agent.line.capture import Capture
from agent.line.line import Line
from agent.outbox.outbox import Outbox
from agent.status.parts import Parts
from agent.status.watch import Watch
from agent.systemd import Manager

LOOKS = 8  # in the manager's time
LOOK_S = (0.05, 10.0)  # from look to look, at the least and at the most
SHORTEST_S = 4.0  # the watch looks once a second: whoever moves is not to be called standing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Something that has to move; each function is quick, waits for nothing and raises nothing."""

    name: str
    moved: Callable[[], object]  # another answer whenever it has moved
    rests: Callable[[], bool] = lambda: False  # it has nothing to do, or it is told why it cannot


@dataclass(frozen=True, slots=True)
class Standing:
    stage: str
    for_s: float  # since the look that saw it move last


class Progress:
    """Since when each stage stands; `look` is to be called again and again."""

    def __init__(self, stages: Sequence[Stage], now_ns: int) -> None:
        self._stages = stages
        self._moved = [stage.moved() for stage in stages]
        self._since_ns = [now_ns] * len(stages)

    def look(self, now_ns: int) -> tuple[Standing, ...]:
        """How long each stage has stood, in their order."""
        for number, stage in enumerate(self._stages):
            moved = stage.moved()
            if moved != self._moved[number] or stage.rests():
                self._moved[number], self._since_ns[number] = moved, now_ns
        return tuple(
            Standing(stage.name, (now_ns - since_ns) / 1e9)
            for stage, since_ns in zip(self._stages, self._since_ns, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Vigil:
    """A member of the crew; the manager waits for `limit_s` at most, and stages have SHORTEST_S at least."""

    stages: Sequence[Stage]
    limit_s: float
    manager: Manager
    clock: Clock

    def run(self, stop: threading.Event) -> None:
        progress = Progress(self.stages, self.clock.monotonic_ns())
        patience_s = max(self.limit_s, SHORTEST_S)
        look_s = min(max(self.limit_s / LOOKS, LOOK_S[0]), LOOK_S[1])
        while not stop.wait(look_s):
            standing = [
                one for one in progress.look(self.clock.monotonic_ns()) if one.for_s >= patience_s / 2
            ]
            if not standing:
                self.manager.alive()
                continue
            if standing[0].for_s >= patience_s * 3 / 4:  # first: a log that nobody takes would hold it up
                self.manager.act()
            log.error(
                "stage_stands",
                stage=standing[0].stage,
                for_s=round(standing[0].for_s, 1),
                behind_it=[one.stage for one in standing[1:]],
                remedy="the service manager restarts the agent",
            )


def make_vigil(
    manager: Manager,
    parts: Parts,
    watch: Watch,
    *,
    waits: Callable[[], int],
    is_alive: Callable[[str], bool],
    clock: Clock,
) -> Vigil | None:
    """Over commits, what waits for them: lines, the cameras that fill their rings, the watch, the courier,
    and the main thread, which counts its `waits`; None where the manager has no watchdog. `is_alive` tells of
    the crew's members.

    A camera that is lost moves all the same: it is looked after. One that finished has ended, as its line
    has; a full disk or outbox is told elsewhere, and no restart helps it.
    """
    if manager.watchdog_s is None:
        return None
    outbox = parts.uplink.outbox
    stages = (
        Stage(name="outbox", moved=lambda: outbox.settled, rests=lambda: outbox.rests),
        *(_line(name, line, outbox, is_alive) for name, line in parts.lines.items()),
        *(_camera(name, camera, parts.captures[name], is_alive) for name, camera in parts.cameras.items()),
        Stage(name="watch", moved=lambda: watch.looks, rests=lambda: outbox.waits_for_room),
        Stage(name="courier", moved=lambda: parts.uplink.courier.turns, rests=lambda: outbox.waits_for_room),
        Stage(name="main", moved=waits),
    )
    return Vigil(stages=stages, limit_s=manager.watchdog_s, manager=manager, clock=clock)


def _line(name: str, line: Line, outbox: Outbox, is_alive: Callable[[str], bool]) -> Stage:
    return Stage(
        name=f"line {name}",
        moved=lambda: line.steps,
        rests=lambda: outbox.waits_for_room or not is_alive(f"line-{name}"),
    )


def _camera(name: str, camera: Supervisor, ring: Capture, is_alive: Callable[[str], bool]) -> Stage:
    return Stage(
        name=f"camera {name}",
        moved=lambda: camera.looks,
        rests=lambda: ring.is_full() or not is_alive(f"camera-{name}"),
    )
