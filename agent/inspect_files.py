"""`plumbline inspect`: judge picture files, write heat maps and a JSON Lines report."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent import camera_settings, settings
from agent.bundle import Bundle
from agent.cameras.camera import EndOfStream
from agent.cameras.folder import FolderCamera
from agent.clock import Clock
from agent.engines.engine import Engine
from agent.errors import PlumblineError
from agent.line.infer import infer
from agent.line.judge import Rules, judge
from agent.line.prepare import PrepareError, eight_bits, prepare
from agent.line.taught import Taught
from agent.messages import Frame, FrameFault, Inspection, Judgement, Pixels
from agent.status.heatmap import heatmap

REPORT = "report.jsonl"


class InspectError(PlumblineError):
    """The report cannot be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One file's line of the report, and its picture when it could be judged."""

    record: dict[str, Any]
    picture: Pixels | None  # RGB: input, restoration and heat map side by side


def inspect_files(
    paths: Sequence[Path], bundle: Bundle, engine: Engine, clock: Clock, taught: Taught | None = None
) -> Iterator[Inspected]:
    """Every picture file of `paths`, folders included; an unreadable one is skipped and says why.

    `taught` sees every frame that is judged.

    Raises CameraError for a path that does not exist or holds no picture.
    """
    rules = Rules(
        threshold=bundle.at(engine.describe().precision).manifest.threshold.raw,
        scale=bundle.manifest.input.scale,
        stride_px=bundle.manifest.map.stride_px,
        min_area_px=settings.Judge().min_area_px,
        max_invalid_ratio=0.0,
    )
    names: Counter[str] = Counter()  # parts of different folders may have one name
    for item in _frames(paths, clock):
        if isinstance(item, FrameFault):
            yield Inspected(record=_skipped(item, item.detail), picture=None)
            continue
        try:
            inspection = infer(prepare(item, bundle.manifest.input, clock), engine, clock)
        except PrepareError as error:
            yield Inspected(record=_skipped(item, str(error)), picture=None)
            continue
        judgement = judge(item, inspection, rules)
        if taught is not None:
            taught.see(inspection.evidence, judgement.threshold)
        stem = item.part_id or f"frame{item.frame_id}"
        names[stem] += 1
        picture = f"{stem}.png" if names[stem] == 1 else f"{stem}-{names[stem]}.png"
        yield Inspected(
            record={**_record(item, inspection, judgement, bundle, engine), "picture": picture},
            picture=side_by_side(eight_bits(item.image, item.bit_depth), inspection, judgement.threshold),
        )


def start_report(folder: Path) -> None:
    """An empty report in `folder`, which is made where it is not there. Raises InspectError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT).write_text("")
    except OSError as error:
        raise InspectError(f"{folder}: cannot be written ({error}); give a folder with --out") from error


def write(inspected: Inspected, folder: Path) -> None:
    """Append the record to the report and write its picture beside it. Raises InspectError."""
    try:
        with (folder / REPORT).open("a", encoding="utf-8") as report:
            report.write(json.dumps(inspected.record) + "\n")
        if inspected.picture is not None:
            png = cv2.imencode(".png", cv2.cvtColor(inspected.picture, cv2.COLOR_RGB2BGR))[1]
            (folder / inspected.record["picture"]).write_bytes(png.tobytes())
    except OSError as error:
        raise InspectError(f"{folder}: cannot be written ({error}); check permissions and space") from error


def side_by_side(image: Pixels, inspection: Inspection, threshold: float) -> Pixels:
    """Input, restoration and heat map, RGB, at the input's size."""
    lines, width = image.shape[:2]
    assert inspection.restored is not None
    restored = cv2.resize(inspection.restored, (width, lines), interpolation=cv2.INTER_LINEAR)
    parts = [image, restored.reshape(lines, width, -1), heatmap(image, inspection.evidence, threshold)]
    return np.hstack([np.broadcast_to(part, (lines, width, 3)) for part in parts])


def _frames(paths: Sequence[Path], clock: Clock) -> Iterator[Frame | FrameFault]:
    for path in paths:
        camera = FolderCamera("files", camera_settings.FolderSource(path=path), clock)
        camera.open()
        try:
            while True:
                item = camera.grab(1.0)
                if item is not None:
                    yield item
        except EndOfStream:
            pass
        finally:
            camera.close()


def _record(
    frame: Frame, inspection: Inspection, judgement: Judgement, bundle: Bundle, engine: Engine
) -> dict[str, Any]:
    score = {
        "raw": judgement.score,
        "threshold": judgement.threshold,
        "normalized": 100 * judgement.score / judgement.threshold,
    }
    return {
        "part_id": frame.part_id,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        **({"score": score} if math.isfinite(judgement.score) else {}),
        "defects": [
            {
                "index": index,
                "score": defect.score,
                "bbox_px": defect.bbox_px,
                "area_px": defect.area_px,
            }
            for index, defect in enumerate(judgement.defects)
        ],
        "infer_ms": round((inspection.finished_ns - inspection.started_ns) / 1e6, 3),
        "model": {"bundle": bundle.manifest.name, "sha256": bundle.sha256, "engine": engine.describe().name},
    }


def _skipped(item: Frame | FrameFault, detail: str) -> dict[str, Any]:
    return {"part_id": item.part_id, "verdict": "skipped", "reason": "camera_error", "detail": detail}
