"""The parts of a running station, for whoever asks them how they do: watch, metrics, vigil."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.archive.archive import Archive
from agent.cameras.supervisor import Supervisor
from agent.drift.watcher import DriftWatch
from agent.labels.namer import Namer
from agent.line.capture import Capture
from agent.line.line import Line
from agent.line.recipes import Recipes
from agent.marks.marks import Marks
from agent.outputs.outputs import Outputs
from agent.parts.parts import PartVerdicts
from agent.remote.remote import Remote
from agent.remote.rollout.orders import Rollouts
from agent.remote.settings.blind import beside
from agent.rolls.event import RollMaps
from agent.status.board import Board
from agent.status.day import Day
from agent.uplink.uplink import Uplink


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Cameras, rings and lines by the camera's name."""

    recipes: Recipes
    cameras: Mapping[str, Supervisor]
    captures: Mapping[str, Capture]
    lines: Mapping[str, Line]
    uplink: Uplink
    remote: Remote
    rollouts: Rollouts
    roll_maps: RollMaps
    part_verdicts: PartVerdicts | None
    archive: Archive | None
    marks: Marks
    drift: DriftWatch
    namer: Namer
    outputs: Outputs
    board: Board
    day: Day

    def troubles(self) -> Mapping[str, Iterable[str]]:
        """What people should know, one sentence each, by the part that says it."""
        return {
            "engines": self.recipes.words(),
            "archive": () if self.archive is None else self.archive.words(),
            "marks": self.marks.words(),
            "parts": () if self.part_verdicts is None else self.part_verdicts.words(),
            "uplink": self.uplink.words(),
            "holds": self.remote.holds.words(),
            "rollouts": self.rollouts.words(),
            "pictures": [words for line in self.lines.values() for words in line.words()],
            "drift": self.drift.words(),
            "labels": self.namer.words(),
            "outputs": self.outputs.words(),
            "regions": beside(self.recipes.settings, self.board.size_of),
        }
