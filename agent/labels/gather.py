"""Labelled defects of this station: what people marked, with what the archive keeps of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.archive.entry import Entry, EntryError
from agent.bundle.bundle import Bundle
from agent.clock import Clock
from agent.contract.mark import Mark
from agent.foreign import shown
from agent.labels.features import Features
from agent.labels.label_set import MOST_OF_CLASS, LabelsError
from agent.labels.learn import Sample, check, one_spelling
from agent.labels.vectors import cut_around, vector_of
from agent.line import seams
from agent.line.prepare import PrepareError, prepare
from agent.marks.file import Wanted
from agent.marks.read import newest, place
from agent.messages import Box, Floats, Prepared
from agent.replay.told import ReplayError, find_entry
from agent.settings.settings import Settings

SHARE_OF_PEAK = 0.7  # of a spot that nothing found: what is nearly as strange as its peak

Told = Callable[[int, int], None]


def nobody_asks(done: int, of: int) -> None:
    """Of who wants no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Samples, and in words why some marks gave none."""

    samples: Sequence[Sample]
    refused: tuple[str, ...] = ()


def marked(wanted: Settings, recipe: str) -> list[Mark]:
    """What was marked as a defect with a label, of this recipe, newest first.

    Raises MarksError, and LabelsError where no class has enough or nothing is archived.
    """
    if wanted.archive.folder is None:
        raise LabelsError("archive.folder is not set, so no pictures are kept of what was marked; set it")
    found = newest(place(wanted.outbox.path), Wanted(truth="defective", recipe_id=recipe))
    labelled = [one for one in found.marks if one.label is not None]
    check(one_spelling([str(one.label) for one in labelled]))
    return labelled


def of_marks(
    marks: Sequence[Mark],
    folder: Path,
    bundle: Bundle,
    features: Features,
    clock: Clock,
    *,
    told: Told = nobody_asks,
) -> Gathered:
    """The newest MOST_OF_CLASS of each class that has enough; `told` is called after each mark."""
    labels = one_spelling([str(one.label) for one in marks])
    classes, taken = set(check(labels)), Counter[str]()
    samples: list[Sample] = []
    refused: list[str] = []
    for number, (mark, label) in enumerate(zip(marks, labels, strict=True), 1):
        if label in classes and taken[label] < MOST_OF_CLASS:
            try:
                entry = find_entry(folder, mark.result_id)
                vector = _vector(entry, mark.defect_index, bundle, features, clock)
            except (ReplayError, EntryError, PrepareError, LabelsError) as error:
                refused.append(str(error))
            else:
                taken[label] += 1
                samples.append(Sample(label=label, source=mark.result_id, vector=vector))
        told(number, len(marks))
    return Gathered(samples=samples, refused=tuple(refused))


def _vector(entry: Entry, index: int | None, bundle: Bundle, features: Features, clock: Clock) -> Floats:
    """Of one defect of a result, in the features of `bundle`, whichever judged it then."""
    if entry.evidence is None:
        raise LabelsError(
            f"{shown(entry.verdict.result_id)}: was not judged, so nothing says where its defect is"
        )
    spec, stride = bundle.manifest.input, bundle.manifest.map.stride_px
    prepared = prepare(entry.frame, spec, clock)
    evidence = _on_map(entry.evidence, prepared, stride)
    boxes = [one.bbox_px for one in entry.verdict.defects]
    threshold = float("inf") if entry.verdict.score is None else entry.verdict.score.threshold
    if boxes:
        box = boxes[index if index is not None and index < len(boxes) else 0]
    else:
        threshold = min(threshold, SHARE_OF_PEAK * float(evidence.max()))
        shape = entry.frame.image.shape[:2]
        box = strongest(evidence, threshold, prepared.scale, stride, (shape[0], shape[1]))
    (cut,) = cut_around(prepared, evidence, threshold, [box], stride_px=stride, grid=features.grid)
    return vector_of(features.of(cut.tile), cut.weights, features.coarsest)


def strongest(
    evidence: Floats, threshold: float, scale: float, stride_px: int, shape: tuple[int, int]
) -> Box:
    """The box of the strongest spot of a map, in frame pixels, however small."""
    level = min(threshold, float(evidence.max()))
    found = seams.defects(evidence, level, stride=stride_px, scale=scale, frame_shape=shape, min_area_px=1)
    return found[0].bbox_px


def _on_map(evidence: Floats, prepared: Prepared, stride_px: int) -> Floats:
    """The map of a bundle of then in the cells of the one of now."""
    height, width = (-(-side // stride_px) for side in prepared.shape)
    if evidence.shape == (height, width):
        return evidence
    resized: Floats = np.asarray(
        cv2.resize(evidence, (width, height), interpolation=cv2.INTER_NEAREST), np.float32
    )
    return resized
