"""Solar cells as a station shows them: judged by the sample bundle, measured as the watcher does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.bundle.bundle import Bundle, open_bundle
from agent.cameras.images import read_image
from agent.clock import SystemClock
from agent.demo.cells import load_cells
from agent.demo.demo import SAMPLE_BUNDLE
from agent.drift.series import Series, Taken
from agent.drift.statistics import measure
from agent.engines.engine import Engine
from agent.engines.open import open_engine
from agent.line.infer import infer
from agent.line.prepare import prepare
from agent.messages import Pixels
from agent.settings.settings import Engine as EngineSettings
from tests.agent.archive.records import frame

Change = Callable[[Pixels], Pixels]


def darker(picture: Pixels) -> Pixels:
    return _clipped(picture * 0.75)


def lifted(picture: Pixels) -> Pixels:
    return _clipped(picture + 30.0)


def blurred(picture: Pixels) -> Pixels:
    return _clipped(cv2.GaussianBlur(picture, (0, 0), 2.5).reshape(picture.shape))


def as_it_is(picture: Pixels) -> Pixels:
    return picture


def _clipped(values: object) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)  # type: ignore[call-overload]


def pictures(split: str) -> list[Path]:
    """In an order that is no module's: a station that sees all kinds from the beginning."""
    found = [cell.image for cell in load_cells() if cell.split == split]
    return [found[number] for number in np.random.default_rng(7).permutation(len(found))]


@dataclass(kw_only=True)
class Judge:
    """The sample bundle on the engine of this machine."""

    bundle: Bundle
    engine: Engine

    @classmethod
    def open(cls) -> Judge:
        bundle = open_bundle(Path(SAMPLE_BUNDLE))
        return cls(bundle=bundle, engine=open_engine(bundle, EngineSettings(kind="openvino")))

    def taken(self, path: Path, change: Change = as_it_is) -> Taken:
        picture = change(np.asarray(read_image(path), np.uint8).reshape(300, 300, 1))
        threshold = self.bundle.at(self.engine.describe().precision).manifest.threshold.raw
        seen = frame(picture, lines_lost=0)
        clock = SystemClock()
        inspection = infer(prepare(seen, self.bundle.manifest.input, clock), self.engine, clock)
        score = float(inspection.scores.max())
        row = measure(picture, inspection, score=score)
        return Taken(result_id=path.stem, row=row, passed=score < threshold, picture=picture)


def kinds_of(good: int, shown: Iterable[Taken]) -> list[str]:
    """What a series tells of frames in this order, of which the first good ones are learned from."""
    series = Series(camera="top", recipe="default", footing="0" * 64, good=good)
    told = []
    for taken in shown:
        series.take(taken)
        series.learn("")
        looked = series.look()
        if looked is not None and looked[0].kind is None and looked[1].kind is not None:
            told.append(str(looked[1].kind))
    return told
