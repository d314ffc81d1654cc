"""Honest figures: a teacher, a student or a bundle on the test split, and a report to look at.

Nothing is chosen on the test set: thresholds come from the bundle, checkpoints from the end of training.
F1max is the exception by definition, an upper bound. Pixel figures appear when the set has masks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch

from agent.bundle.bundle import MANIFEST, InputSpec, open_bundle
from agent.engines.engine import Answer, Engine
from agent.engines.open import open_engine
from agent.line.infer import lay_out
from agent.line.prepare import cut_tiles, scaled
from agent.line.seams import mosaic
from agent.messages import Flags, Floats, Pixels
from agent.settings import settings
from agent.teach.threshold import wilson
from models.data import preflight
from models.data.batches import to_images
from models.data.datasets import (
    DataError,
    Item,
    check_pictures,
    load_items,
    read_image,
    read_mask,
)
from models.data.held import good_items
from models.judging import metrics
from models.judging import yardstick as measure
from models.judging.restored import remaining
from models.judging.unseen import PAIRS, TWINS_SEED, left_in, spoilt_twins
from models.judging.yardstick import Built
from models.methods.method import Method
from models.parts.precision import autocast
from models.stages import SILENT, Stages
from models.store import Place, local
from models.student.distill import load_student
from models.student.student import Student, to_pixels
from models.training.train import STUDENT, load_teacher, read_run

CPU = torch.device("cpu")
Inspector = Callable[[Pixels], Answer]  # tiles (N, H, W, C), as an engine takes them


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One test picture with what the model made of it."""

    item: Item
    score: float
    map: Floats  # at the scaled picture's size
    picture: Pixels  # scaled
    restored: Pixels
    mask: Flags | None  # at the scaled picture's size; None when the set has none
    seconds: float

    @cached_property
    def remains(self) -> float | None:
        """Of the defect's contrast in the restoration; None without a defect that stands out."""
        return None if self.mask is None else remaining(self.picture, self.restored, self.mask)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one evaluation by anomalib's names; None where there are no masks or no threshold."""

    images: int
    image_auroc: float
    image_ap: float
    image_f1max: float
    pixel_auroc: float | None
    pixel_ap: float | None
    pixel_f1max: float | None
    aupro_03: float | None
    remaining_contrast: float | None  # of defects in their restoration, the median: 1 as seen, 0 gone
    promised_false_reject_rate: float | None  # by the bundle, of new good parts on the average, at most
    false_reject_rate: float | None
    false_reject_interval: tuple[float, float] | None  # 95 %, of as many good pictures as were judged
    recall_at_threshold: float | None
    threshold: float | None
    seconds_per_image: float

    def as_dict(self) -> dict[str, float | int | tuple[float, float] | None]:
        return asdict(self)


def evaluate(
    model: Place, data: Path, product: str | None = None, stages: Stages = SILENT
) -> tuple[Figures, list[Judged]]:
    """Judge the test split below `data` with the run or bundle at `model`.

    A teacher of several products is told which one the pictures show when `product` is given. Raises
    RunError, PreflightError, BundleError or DataError when either cannot be used.
    """
    inspector, spec, threshold = open_inspector(model, product)
    judged = judge_split(data, inspector, spec, stages)
    return figures(judged, threshold, promised_by(model)), judged


def evaluate_yardstick(
    model: Place, data: Path, seed: int = 0, stages: Stages = SILENT
) -> tuple[Figures, list[Judged], Built]:
    """The same split judged by a memory of the good training parts below `data`, and that memory.

    Raises what `evaluate` does, and WeightsError.
    """
    spec = input_of(model)
    kept, held = good_items([data])
    built = measure.build(kept, held, spec, seed, stages)
    items = stages.over(checked_split(data, stages), "judging the test split by the yardstick")
    judged = [judge_item(item, built.yardstick.inspect, spec) for item in items]
    return figures(judged, None), judged, built


def remaining_in_unseen(
    model: Place, data: Path, product: str | None = None, stages: Stages = SILENT
) -> float:
    """`left_in` of held-back good parts below `data`; raises what `evaluate` does."""
    inspector, spec, _ = open_inspector(model, product)
    kept, held = good_items([data])
    return left_in(inspector, spoilt_twins(held, kept, spec, PAIRS, TWINS_SEED), spec, stages)


def is_bundle(model: Place) -> bool:
    """True for a `.plumb` file and for a bundle's folder, False for a run's folder."""
    return isinstance(model, Path) and (model.is_file() or (model / MANIFEST).is_file())


def input_of(model: Place) -> InputSpec:
    """How frames become tiles for a bundle or a run."""
    if is_bundle(model):
        return open_bundle(local(model)).manifest.input
    return read_run(model).input


def open_inspector(model: Place, product: str | None = None) -> tuple[Inspector, InputSpec, float | None]:
    """How to judge tiles with a bundle, a student's run or a teacher's run, and the bundle's threshold."""
    preflight.need_product(model, product)
    if is_bundle(model):
        bundle = open_bundle(local(model))
        engine = open_engine(bundle, settings.Engine())
        served = bundle.at(engine.describe().precision).manifest
        return by_engine(engine), served.input, served.threshold.raw
    if (model / STUDENT).is_file():
        run, student = load_student(model)
        return by_student(student), run.input, None
    run, method = load_teacher(model)
    index = None if product is None else run.data.index(product)
    return by_teacher(method, run.seed, index), run.input, None


def by_teacher(
    method: Method, seed: int, product: int | None = None, device: torch.device = CPU
) -> Inspector:
    """A method's own full inference, in the arithmetic that it was trained in."""
    method.to(device)

    def inspect(tiles: Pixels) -> Answer:
        products = None if product is None else torch.full((len(tiles),), product)
        with autocast(device):
            images = to_images(tiles).to(device)
            found = method.inspect(images, torch.Generator().manual_seed(seed), products)
        return Answer(
            scores=found.score.float().cpu().numpy(),
            maps=found.map.float().squeeze(1).cpu().numpy(),
            restored=to_pixels(found.image.float()).cpu().numpy(),
        )

    return inspect


def by_engine(engine: Engine) -> Inspector:
    """The exported student as the device runs it."""
    return engine.run


def by_student(student: Student) -> Inspector:
    """The student in torch, before any export."""

    def inspect(tiles: Pixels) -> Answer:
        with torch.no_grad():
            scores, maps, restored = student(torch.from_numpy(tiles))
        return Answer(scores=scores.numpy(), maps=maps.numpy(), restored=restored.numpy())

    return inspect


def judge_split(data: Path, inspector: Inspector, spec: InputSpec, stages: Stages = SILENT) -> list[Judged]:
    """Every test picture below `data`. Raises DataError before any is judged when one cannot be read."""
    items = checked_split(data, stages)
    return [judge_item(item, inspector, spec) for item in stages.over(items, "judging the test split")]


def checked_split(data: Path, stages: Stages = SILENT) -> list[Item]:
    """The test pictures below `data`, all of them readable. Raises DataError."""
    items = [item for item in load_items(data) if item.split == "test"]
    check_pictures(items, stages)
    return items


def score_of(picture: Pixels, inspector: Inspector, spec: InputSpec) -> float:
    """Of a picture as the camera gives it: its worst tile's."""
    return float(inspector(cut_tiles(scaled(picture, spec), spec)[0]).scores.max())


def judge_item(item: Item, inspector: Inspector, spec: InputSpec) -> Judged:
    """One picture through the device's own tiles and seams; its score is its worst tile's."""
    original = read_image(item.image, spec.channels)
    started = time.perf_counter()
    picture = scaled(original, spec)
    tiles, origins = cut_tiles(picture, spec)
    answer = inspector(tiles)
    assert answer.restored is not None
    shape = (picture.shape[0], picture.shape[1])
    whole = mosaic(answer.maps, origins, spec.tile_px, shape)
    seconds = time.perf_counter() - started
    mask = scaled_mask(item, original.shape[:2], shape)
    return Judged(
        item=item,
        score=float(answer.scores.max()),
        map=np.asarray(cv2.resize(whole, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32),
        picture=picture,
        restored=lay_out(answer.restored, origins, shape),
        mask=mask,
        seconds=seconds,
    )


def scaled_mask(item: Item, original: tuple[int, int], shape: tuple[int, int]) -> Flags | None:
    """Where the defect is on the scaled picture; `original` is its file's shape. None without a mask."""
    mask = read_mask(item, original)
    if mask is None:
        return None
    return np.asarray(cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def promised_by(model: Place) -> float | None:
    """The false-reject rate that a bundle's threshold promises; None for a run, which has no threshold."""
    if not is_bundle(model):
        return None
    threshold = open_bundle(local(model)).manifest.threshold
    return threshold.provisional_rate or threshold.target_false_reject_rate


def vanished(judged: Sequence[Judged]) -> list[Judged]:
    """Defective pictures whose mask has no pixel left at the model's scale, so that pixel figures miss it."""
    return [one for one in judged if not one.item.is_good and one.mask is not None and not one.mask.any()]


def figures(judged: Sequence[Judged], threshold: float | None, promised: float | None = None) -> Figures:
    """All figures of a judged test split; raises DataError when it has only one kind of picture."""
    labels = np.array([not one.item.is_good for one in judged])
    scores = np.array([one.score for one in judged], np.float32)
    if labels.all() or not labels.any():
        raise DataError("the test split needs good and defective pictures, under test/good and test/<defect>")
    pixel = pixel_figures(judged)
    rejected = scores >= np.float32(threshold) if threshold is not None else None
    return Figures(
        images=len(judged),
        image_auroc=metrics.auroc(labels, scores),
        image_ap=metrics.average_precision(labels, scores),
        image_f1max=metrics.f1_max(labels, scores),
        pixel_auroc=None if pixel is None else pixel.auroc,
        pixel_ap=None if pixel is None else pixel.ap,
        pixel_f1max=None if pixel is None else pixel.f1_max,
        aupro_03=None if pixel is None else pixel.aupro,
        remaining_contrast=remaining_contrast(judged),
        promised_false_reject_rate=promised,
        false_reject_rate=None if rejected is None else float(rejected[~labels].mean()),
        false_reject_interval=None
        if rejected is None
        else wilson(float(rejected[~labels].mean()), float((~labels).sum())),
        recall_at_threshold=None if rejected is None else float(rejected[labels].mean()),
        threshold=threshold,
        seconds_per_image=float(np.mean([one.seconds for one in judged])),
    )


def by_product(
    judged: Sequence[Judged], threshold: float | None, promised: float | None = None
) -> dict[str, Figures | None]:
    """The figures of each product where there are several; None for one with one kind of picture only."""
    own: dict[str, list[Judged]] = {}
    for one in sorted(judged, key=lambda one: one.item.product):
        own.setdefault(one.item.product, []).append(one)
    if len(own) == 1:
        return {}
    return {
        name: figures(some, threshold, promised) if len({one.item.is_good for one in some}) == 2 else None
        for name, some in own.items()
    }


def remaining_contrast(judged: Sequence[Judged]) -> float | None:
    """The median over defective pictures; None where nothing restores, or no defect stands out."""
    if all(np.array_equal(one.picture, one.restored) for one in judged):
        return None
    shares = [share for one in judged if not one.item.is_good and (share := one.remains) is not None]
    return float(np.median(shares)) if shares else None


def pixel_figures(judged: Sequence[Judged]) -> metrics.PixelFigures | None:
    """None unless every defective picture has its mask, and one of them shows a defect."""
    masks = [one.mask for one in judged if one.mask is not None]
    if len(masks) < len(judged) or not any(mask.any() for mask in masks):
        return None
    return metrics.pixel_figures(masks, [one.map for one in judged])
