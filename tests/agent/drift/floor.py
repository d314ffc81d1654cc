"""A watcher that is told of records which a test makes up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from agent.clock import ManualClock, new_uuid7
from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.drift.files import References
from agent.drift.light import Light
from agent.drift.watcher import DriftWatch
from agent.line.publish import Recorded
from agent.line.recipe import Recipe
from agent.messages import Inspection, Pixels
from tests.agent.archive.records import frame, verdict
from tests.agent.line.recipes import recipe
from tests.agent.line.records import TOPICS

GOOD = 64


def grey(level: float, number: int, *, noise: float = 6.0, wander: float = 4.0) -> Pixels:
    """An even part, a little brighter or darker than the next one."""
    rng = np.random.default_rng(number)
    rows = rng.normal(level + rng.normal(0, wander), noise, (48, 64, 1))
    return np.asarray(np.clip(np.rint(rows), 0, 255), np.uint8)


@dataclass(kw_only=True)
class Floor:
    folder: Path
    good: int = GOOD
    names: set[str] = field(default_factory=lambda: {"default"})
    recipe: Recipe = field(default_factory=lambda: replace(recipe(), name="default"))
    lights: Sequence[str] = ()
    threshold: float = 0.5
    numbers: count[int] = field(default_factory=lambda: count(1))
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.start()

    def start(self) -> None:
        """As after another start of the agent."""
        self.watch = DriftWatch(
            references=References(folder=self.folder),
            good=self.good,
            lights={name: Light(name) for name in self.lights},
            recipes=lambda: self.names,
            events=EventMaker(
                TOPICS, boot_id="boot-1", clock=self.clock, new_id=lambda: new_uuid7(self.clock)
            ),
            append=self.rows.append,
            clock=self.clock,
        )

    def show(
        self,
        frames: int,
        *,
        level: float = 120.0,
        score: float = 0.3,
        fails_every: int = 0,
        camera: str = "top",
        **of: Any,
    ) -> None:
        """So many records, one a second, with the watcher's look after each."""
        for _ in range(frames):
            number = next(self.numbers)
            fails = bool(fails_every) and number % fails_every == 0
            self.tell(grey(level, number, **of), score=0.9 if fails else score, number=number, camera=camera)
            self.clock.advance(1.0)
            self.watch.watch()

    def tell(self, picture: Pixels, *, score: float, number: int, camera: str = "top") -> None:
        """A record of a picture."""
        rng = np.random.default_rng(number)
        raw = score * float(np.exp(rng.normal(0, 0.1)))
        seen = frame(picture, camera=camera)
        said = verdict(
            number, of=seen, name="fail" if raw >= self.threshold else "pass", camera=camera, score=raw
        )
        assert said.score is not None
        said = said.model_copy(update={"score": said.score.model_copy(update={"threshold": self.threshold})})
        evidence = np.full((12, 16), raw / 4, np.float32)
        inspection = Inspection(
            scores=np.array([raw], np.float32), evidence=evidence, restored=None, started_ns=0, finished_ns=1
        )
        self.watch.recorded(
            Recorded(
                verdict=said,
                item=seen,
                recipe=self.recipe,
                picture=picture,
                inspection=inspection,
                capture_to_committed_s=0.1,
            )
        )

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(row.payload) for row in self.rows]

    def kinds(self) -> list[str]:
        return [f"{one['event']}:{one['data']['kind']}" for one in self.events()]
