"""A plant's archives: grey frames of many stations, and bundles that score a frame by its mean grey value.

A frame of grey value `level` scores level / 255 times the bundle's gain; then the threshold was 0.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np

from agent.archive import entry, files
from agent.archive.record import Decided, Ignored, Mark, MarkWord
from agent.clock import rfc3339
from agent.contract.verdict import ScoreMessage, Verdict
from agent.messages import VerdictName
from agent.remote.proof.document import VerdictWord
from models.rescoring.row import Row
from tests.agent.archive.records import MORNING, evidence, frame, inspection, result_id, verdict

THRESHOLD = 0.5
LEVELS = (20, 60, 100, 116, 140, 160, 200, 235)  # four pass, four fail
SHAPE = (40, 60, 1)


@dataclass(kw_only=True)
class Plant:
    """Archives below `folder`, one for each station."""

    folder: Path
    numbers: count[int] = field(default_factory=lambda: count(1))

    def archive(self, station: str) -> Path:
        return self.folder / station / "archive"

    def keep(
        self,
        station: str,
        level: int,
        *,
        at: datetime = MORNING,
        product: str = "cells",
        camera: str = "top",
        shape: tuple[int, int, int] = SHAPE,
        mark: MarkWord | None = None,
        name: VerdictName | None = None,
        reason: str | None = None,
        decided: Decided | None = None,
    ) -> Path:
        """An entry as the station's line would have kept it."""
        number = next(self.numbers)
        image = np.full(shape, level, np.uint8)
        seen = frame(image, camera=camera, captured_at=at, lines_lost=0)
        raw = level / 255
        said = verdict(
            number, of=seen, name=name or ("fail" if raw >= THRESHOLD else "pass"), camera=camera, at=at
        )
        said = said.model_copy(
            update={
                "station": station,
                "recipe_id": product,
                "reason": reason,
                "score": ScoreMessage(raw=raw, threshold=THRESHOLD, normalized=200 * raw),
            }
        )
        return self.put(station, said, image, mark, decided)

    def put(
        self, station: str, said: Verdict, image: np.ndarray, mark: MarkWord | None, decided: Decided | None
    ) -> Path:
        seen = frame(
            image, camera=said.camera, captured_at=datetime.fromisoformat(said.created[:-1] + "+00:00")
        )
        pieces = entry.compose(said, "ef" * 32, seen, inspection(evidence()), decided)
        if mark is not None:
            by = Mark(word=mark, by="somebody", at=MORNING)
            pieces = entry.marked(b"".join(map(bytes, pieces)), by)
        path = files.place(self.archive(station), said.result_id, said.created)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.put(path, pieces)
        return path

    def many(self, stations: Sequence[str], frames: int) -> None:
        """So many frames of each, through weeks, products and levels."""
        for number in range(frames):
            for place, station in enumerate(stations):
                self.keep(
                    station,
                    LEVELS[(number + place) % len(LEVELS)],
                    at=MORNING + timedelta(days=3 * (number % 5)),
                    product=("cells", "films")[number % 2],
                )


def decided(**changes: object) -> Decided:
    """Rules of a station that has none of its own."""
    told: dict[str, object] = {
        "threshold": THRESHOLD,
        "calibrated": {},
        "precision": "f32",
        "min_area_px": 16,
        "max_invalid_ratio": 0.02,
        "max_windows": 1,
        "ignore": None,
    }
    return Decided(**{**told, **changes})  # type: ignore[arg-type]


def everything_ignored() -> Ignored:
    corners = ((-1.0, -1.0), (61.0, -1.0), (61.0, 41.0), (-1.0, 41.0))
    return Ignored(polygons=(corners,), top=4)


def row(number: int, then: VerdictWord, now: VerdictWord | None, **more: object) -> Row:
    """Of a frame that was read."""
    told: dict[str, object] = {
        "status": "unscored" if now is None else "judged",
        "file": f"/plant/{number}.png",
        "result_id": result_id(number),
        "station": "press-1",
        "camera": "top",
        "product": "cells",
        "week": "2026-W48",
        "width": 60,
        "channels": 1,
        "rules_kept": True,
        "then_verdict": then,
        "then_bundle": "ab" * 32,
        "now_verdict": now,
        "now_engine": None if now is None else "openvino-f32",
        **more,
    }
    return Row(**told)  # type: ignore[arg-type]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def week(days: int) -> str:
    year, number, _ = (MORNING + timedelta(days=days)).isocalendar()
    return f"{year}-W{number:02}"


def moment(days: int) -> str:
    return rfc3339(MORNING + timedelta(days=days))
