"""A station that judged frames and kept them, by the steps of its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from agent.archive import entry, files
from agent.archive.record import decided_by
from agent.bundle.bundle import Bundle, open_bundle
from agent.clock import SystemClock
from agent.contract.verdict import Verdict
from agent.engines.open import open_engine
from agent.engines.switch import Switch
from agent.line.binding import Bound
from agent.line.infer import infer
from agent.line.judge import judge
from agent.line.prepare import prepare
from agent.line.recipe import Recipe, make_recipe
from agent.line.record import Judged, Origin, Stamp, judged_draft, verdict_of
from agent.messages import Samples
from agent.settings import archive, camera, settings
from agent.settings import recipes as recipe_settings
from tests.agent.archive.records import MORNING, frame, result_id

CLOCK = SystemClock()


def grey_steps(*levels: int, shape: tuple[int, int] = (40, 60)) -> Samples:
    """Columns of these grey values."""
    image = np.zeros((*shape, 1), np.uint8)
    for index, columns in enumerate(np.array_split(np.arange(shape[1]), len(levels))):
        image[:, columns] = levels[index]
    return image


@dataclass(kw_only=True)
class Keeping:
    """Everything lies below `folder`; `changes` are sections of its settings."""

    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    engine: settings.Engine = field(default_factory=lambda: settings.Engine(kind="openvino", precision="f32"))
    numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def settings(self) -> settings.Settings:
        sections: dict[str, Any] = {
            "bundle": self.folder / "serves",
            "cameras": (camera.Camera(name="top"),),
            "engine": self.engine,
            "archive": archive.Archive(folder=self.folder / "archive"),
            "outbox": settings.Outbox(path=self.folder / "outbox.sqlite3", min_free_bytes=0),
        }
        return settings.Settings(**{**sections, **self.changes})

    def judge(
        self,
        image: Samples,
        *,
        keeps_rules: bool = True,
        part_line: int = 0,
        own: str | None = None,
    ) -> tuple[Verdict, Path]:
        """By the settings as they are now; the record, and the file in the archive."""
        wanted = self.settings
        bundle, engine = open_bundle(wanted.bundle), Switch()
        engine.serve(open_engine(bundle, wanted.engine))
        recipe = make_recipe(wanted, bundle, engine, self.recipe_named(own))
        seen = frame(image, lines_lost=0, first_line=part_line)
        judged = self._judged(seen, bundle, recipe, part_line)
        number = next(self.numbers)
        stamp = Stamp(
            result_id=result_id(number),
            sequence=number,
            created=MORNING,
            recorded_ns=10**9,
            clock_synced=True,
            bound=Bound(),
            roll_id=None,
        )
        draft = judged_draft(judged, np.asarray(seen.image, np.uint8), lambda: result_id(number))
        origin = Origin(station=wanted.identity.station, boot_id="boot-1", simulated=frozenset())
        verdict = verdict_of(draft, stamp, origin)
        decided = decided_by(
            recipe.rules_of("top"), precision=judged.inspection.precision, part_line=part_line
        )
        pieces = entry.compose(
            verdict, recipe.digest, seen, judged.inspection, decided if keeps_rules else None
        )
        path = files.place(self.folder / "archive", verdict.result_id, verdict.created)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.put(path, pieces)
        engine.close()
        return verdict, path

    def recipe_named(self, name: str | None) -> recipe_settings.Recipe | None:
        return next((one for one in self.settings.recipes if one.name == name), None)

    def _judged(self, seen: Any, bundle: Bundle, recipe: Recipe, part_line: int) -> Judged:
        rules = recipe.rules_of("top")
        prepared = prepare(seen, bundle.manifest.input, CLOCK)
        without = None
        if rules.ignore is not None:
            without = rules.ignore.cells(prepared, rules.stride_px, first_line=part_line)
        inspection = infer(prepared, recipe.engine, CLOCK, restored=False, without=without)
        return Judged(
            frame=seen,
            recipe=recipe,
            taken_ns=0,
            prepared=prepared,
            inspection=inspection,
            judgement=judge(seen, inspection, rules),
            judged_ns=inspection.finished_ns,
            part_line=part_line,
        )
