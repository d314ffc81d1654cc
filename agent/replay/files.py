"""`plumbline inspect`: judge picture files, write heat maps and a JSON Lines report."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.bundle.bundle import Bundle
from agent.cameras.folder import FolderCamera
from agent.cameras.images import list_images
from agent.clock import Clock
from agent.engines.engine import Engine
from agent.errors import PlumblineError
from agent.explain.form import Form
from agent.explain.places import MOST_DEFECTS, Judged, box_of_peak, places_of
from agent.foreign import shown, stored
from agent.line.heatmap import heatmap
from agent.line.infer import infer
from agent.line.judge import Rules, judge
from agent.line.prepare import PrepareError, prepare
from agent.line.taught import Taught
from agent.messages import Frame, FrameFault, Inspection, Judgement, Pixels, Prepared
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.camera import MAX_MEGAPIXELS
from agent.track.depth import eight_bits

REPORT = "report.jsonl"
LONGEST_NAME = 60  # characters, of up to four bytes: file systems end at 255


class InspectError(PlumblineError):
    """The report cannot be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One file's line of the report, and its picture when it could be judged."""

    record: dict[str, Any]
    picture: Pixels | None  # RGB: input, restoration and heat map side by side


def inspect_files(
    paths: Sequence[Path],
    bundle: Bundle,
    engine: Engine,
    clock: Clock,
    max_megapixels: float = MAX_MEGAPIXELS,
    taught: Taught | None = None,
    form: Form | None = None,
) -> Iterator[Inspected]:
    """Every picture file of `paths`, folders included; an unreadable one is skipped and says why.

    `taught` sees every frame that is judged. With `form` a record says its evidence by kind.

    Raises CameraError for a path that does not exist or holds no picture, CannotExplain.
    """
    rules = Rules(
        threshold=bundle.at(engine.describe().precision).manifest.threshold.raw,
        scale=bundle.manifest.input.scale,
        stride_px=bundle.manifest.map.stride_px,
        min_area_px=settings.Judge().min_area_px,
        max_invalid_ratio=0.0,
    )
    taken: set[str] = set()
    for file in itertools.chain.from_iterable(map(list_images, paths)):
        item = _frame(file, clock, max_megapixels)
        if isinstance(item, FrameFault):
            yield Inspected(record=_skipped(file, item.detail), picture=None)
            continue
        try:
            prepared = prepare(item, bundle.manifest.input, clock)
            inspection = infer(prepared, engine, clock)
        except PrepareError as error:
            yield Inspected(record=_skipped(file, str(error)), picture=None)
            continue
        judgement = judge(item, inspection, rules)
        if taught is not None:
            taught.see(inspection.evidence, judgement.threshold)
        record = _record(file, inspection, judgement, bundle, engine)
        if form is not None and math.isfinite(judgement.score):
            record["evidence"] = _evidence(form, prepared, inspection, judgement, item, rules)
        yield Inspected(
            record={**record, "picture": _free_name(file, taken)},
            picture=side_by_side(eight_bits(item.image, item.bit_depth), inspection, judgement.threshold),
        )


def start_report(folder: Path) -> None:
    """An empty report in `folder`, which is made where it is not there.

    Raises InspectError, also for a folder that holds anything: it may be the user's own.
    """
    name = shown(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A run that ended before its first picture leaves an empty report.
        if any(file.name != REPORT or file.stat().st_size for file in folder.iterdir()):
            raise InspectError(f"{name}: is not empty; give a new folder with --out, nothing is overwritten")
        (folder / REPORT).touch()
    except OSError as error:
        raise InspectError(f"{name}: cannot be written ({error}); give a folder with --out") from error


def write(inspected: Inspected, folder: Path) -> None:
    """Append the record to the report and write its picture beside it. Raises InspectError."""
    try:
        with (folder / REPORT).open("a", encoding="utf-8") as report:
            report.write(json.dumps(inspected.record) + "\n")
        if inspected.picture is not None:
            png = cv2.imencode(".png", cv2.cvtColor(inspected.picture, cv2.COLOR_RGB2BGR))[1]
            with (folder / inspected.record["picture"]).open("xb") as picture:
                picture.write(png.tobytes())
    except OSError as error:
        name = shown(str(folder))
        raise InspectError(f"{name}: cannot be written ({error}); check permissions and space") from error


def side_by_side(image: Pixels, inspection: Inspection, threshold: float) -> Pixels:
    """Input, restoration and heat map, RGB, at the input's size."""
    lines, width = image.shape[:2]
    assert inspection.restored is not None
    restored = cv2.resize(inspection.restored, (width, lines), interpolation=cv2.INTER_LINEAR)
    parts = [image, restored.reshape(lines, width, -1), heatmap(image, inspection.evidence, threshold)]
    return np.hstack([np.broadcast_to(part, (lines, width, 3)) for part in parts])


def _frame(file: Path, clock: Clock, max_megapixels: float) -> Frame | FrameFault:
    source = camera_settings.FolderSource(path=file, max_megapixels=max_megapixels)
    camera = FolderCamera("files", source, clock)
    camera.open()
    item = camera.grab(1.0)
    assert item is not None  # at a rate of 0 nothing is waited for
    return item


def _free_name(file: Path, taken: set[str]) -> str:
    """Of a picture in the report: a.jpg, a.png and a-2.png are three, also where case makes no difference."""
    stem = stored(file.stem)[:LONGEST_NAME]
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return f"{name}.png"


def _record(
    file: Path, inspection: Inspection, judgement: Judgement, bundle: Bundle, engine: Engine
) -> dict[str, Any]:
    score = {
        "raw": judgement.score,
        "threshold": judgement.threshold,
        "normalized": 100 * judgement.score / judgement.threshold,
    }
    return {
        **_names(file),
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


def _evidence(
    form: Form,
    prepared: Prepared,
    inspection: Inspection,
    judgement: Judgement,
    frame: Frame,
    rules: Rules,
) -> list[dict[str, Any]]:
    """Of each defect, or of the strongest place of a frame without one."""
    lines, width = frame.image.shape[:2]
    boxes = [(index, defect.bbox_px) for index, defect in enumerate(judgement.defects[:MOST_DEFECTS])]
    places = places_of(
        boxes or [(None, box_of_peak(inspection.evidence, (width, lines)))],
        prepared,
        form.good,
        Judged(threshold=judgement.threshold, stride_px=rules.stride_px),
        form.explain,
    )
    return [one.model_dump(mode="json", exclude={"across", "down"}) for one in places]


def _skipped(file: Path, detail: str) -> dict[str, Any]:
    return {**_names(file), "verdict": "skipped", "reason": "camera_error", "detail": stored(detail)}


def _names(file: Path) -> dict[str, str]:
    return {"part_id": stored(file.stem), "file": stored(str(file))}
