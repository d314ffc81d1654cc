"""Which evidence finds the defects: a student judged by one kind at a time, and by all as it ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from agent.bundle.bundle import InputSpec
from agent.engines.engine import Answer
from agent.messages import Pixels
from models.data.batches import to_images
from models.data.datasets import Item
from models.judging.evaluate import Figures, Inspector, Judged, checked_split, figures, judge_item
from models.parts.maps import top_mean
from models.stages import SILENT, Stages
from models.store import Place
from models.student.distill import load_student
from models.student.student import EVIDENCE, LEARNED, Student, to_pixels

KINDS: dict[str, tuple[str, ...]] = {
    "pixel map": ("pixels",),
    "latent map": ("latents",),
    "feature map": ("stride_4", "stride_8", "stride_16"),
    "pixel, latent and feature map": ("pixels", "latents", "stride_4", "stride_8", "stride_16"),
    "memory of good parts": ("memory_5", "memory_6"),
    "teachers' map": ("taught",),
    "finder": ("mask",),
    "all but the memory": LEARNED,
    "all, as it ships": EVIDENCE,
}


def ablate(run_folder: Place, data: Path, stages: Stages = SILENT) -> dict[str, Figures]:
    """The figures of each of KINDS on the test split, from one look at each picture.

    Raises RunError when the folder has no finished student, DataError for unusable data.
    """
    run, student = load_student(run_folder)
    found = by_kind(student, checked_split(data, stages), run.input, stages)
    return {kind: figures(some, None) for kind, some in found.items()}


def by_kind(
    student: Student, items: Sequence[Item], spec: InputSpec, stages: Stages = SILENT
) -> dict[str, list[Judged]]:
    """Each picture as it is judged by each of KINDS that has a say in this student."""
    counts = dict(zip(EVIDENCE, student.fusion.tolist(), strict=True))
    kinds = {kind: names for kind, names in KINDS.items() if any(counts[name] for name in names)}
    judged: dict[str, list[Judged]] = {kind: [] for kind in kinds}
    for item in stages.over(items, "judging by each kind of evidence"):
        by_weights = _looking_once(student)
        for kind, names in kinds.items():
            judged[kind].append(judge_item(item, by_weights(student.weights_of(names)), spec))
    return judged


def _looking_once(student: Student) -> Callable[[Tensor], Inspector]:
    """Inspectors of one picture that share its evidence and differ in its weights."""
    seen: list[tuple[Tensor, Tensor]] = []

    def by_weights(weights: Tensor) -> Inspector:
        def inspect(tiles: Pixels) -> Answer:
            with torch.no_grad():
                if not seen:
                    seen.append(student.evidence(to_images(tiles)))
                restored, evidence = seen[0]
                maps = student.fuse(evidence, weights)
                scores = top_mean(maps, student.config.top)
            return Answer(
                scores=scores.numpy(),
                maps=maps.squeeze(1).numpy(),
                restored=to_pixels(restored).numpy(),
            )

        return inspect

    return by_weights
