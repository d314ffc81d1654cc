"""One result: its pictures, its evidence in figures and words, and what it rests on."""

from __future__ import annotations

from typing import cast

import cv2

from agent.messages import Box, Pixels
from agent.page import difference
from agent.page.results import Result, find, profile
from agent.page.sources import Json, Query, Sources
from agent.page.views.faults import NotThereError
from agent.page.views.live import facts_of, picture_address
from agent.page.views.marks import labels, marked

POINTS = 240  # of a profile


def data(sources: Sources, query: Query) -> Json:
    """Raises NotThereError."""
    sources.shown.snapshot()  # what the board has just got can be asked for, too
    result = find(sources, query.get("id", ""))
    if result is None:
        raise NotThereError(
            "This result is no longer kept: its picture was deleted to make room, or it was a good part that"
            " is not kept; archive.days, max_bytes and pass_share in the settings say what is"
        )
    verdict, (width, height) = result.verdict, result.size
    entry = result.entry
    return {
        **facts_of(verdict),
        "width": width,
        "height": height,
        "raw": None if verdict.score is None else verdict.score.raw,
        "threshold": None if verdict.score is None else verdict.score.threshold,
        "defects": [one.model_dump(mode="json", exclude={"crop"}) for one in verdict.defects],
        "pictures": _pictures(result),
        "profile": _profile(result),
        "words": _words(result),
        "recipe": verdict.recipe_id,
        "provenance": {
            "result_id": verdict.result_id,
            "boot_id": verdict.boot_id,
            "bundle": verdict.model.bundle,
            "bundle_sha256": verdict.model.sha256,
            "engine": verdict.model.engine,
            "labels_sha256": verdict.model.labels_sha256,
            "settings_revision": verdict.settings.version,
            "settings_sha256": verdict.settings.sha256,
            "pixels_sha256": verdict.frame.sha256,
            "recipe_sha256": None if entry is None else entry.recipe,
        },
        "timing_ms": verdict.timing_ms.model_dump(mode="json"),
        "is_simulated": verdict.is_simulated,
        "mark": marked(sources, [verdict.result_id]).get(verdict.result_id),
        "labels": labels(sources),
        "can": {
            "replay": entry is not None and sources.behind.replay is not None,
            "explain": entry is not None and sources.behind.explain is not None,
            "ignore": sources.behind.change is not None,
            "mark": sources.behind.marks is not None and verdict.verdict != "skipped",
        },
    }


def _pictures(result: Result) -> Json:
    reject, entry = result.reject, result.entry
    small = result.frame is not None and result.frame.picture is not None
    has = {
        "input": reject is not None or entry is not None or small,
        "restored": (reject is not None and reject.restored is not None)
        or (entry is not None and entry.restored is not None),
        "heat": result.evidence is not None or (reject is not None and reject.heat is not None),
    }
    id_ = result.verdict.result_id
    found: Json = {kind: picture_address(id_, kind) if there else None for kind, there in has.items()}
    found["pixels"] = None if entry is None else picture_address(id_, "pixels").replace(".jpg", ".png")
    return found


def _profile(result: Result) -> Json | None:
    evidence, score = result.evidence, result.verdict.score
    if evidence is None or score is None:
        return None
    return {
        "across": profile(evidence, score.threshold, 0, POINTS),
        "down": profile(evidence, score.threshold, 1, POINTS),
    }


def _words(result: Result) -> list[str]:
    evidence, score = result.evidence, result.verdict.score
    if evidence is None or score is None:
        return []
    words = difference.of_map(evidence, score.threshold, result.size)
    defects = result.verdict.defects
    if not defects or (both := result.both()) is None:
        return words
    image, restored = both
    if image.shape[:2] != restored.shape[:2]:
        restored = cast(Pixels, cv2.resize(restored, image.shape[1::-1]))
    worst = max(defects, key=lambda one: one.score)
    scale = image.shape[1] / result.size[0]
    x, y, across, down = (round(side * scale) for side in worst.bbox_px)
    box: Box = (x, y, max(1, across), max(1, down))
    return [*words, difference.of_restoration(image, restored, box)]
