"""Labelled defects in folders of pictures: LABEL/*.png, or MVTec-AD's layout with its masks.

    DIR/LABEL/x.png                                     where the defect is, is found as the line finds it
    DIR/test/LABEL/x.png, DIR/ground_truth/LABEL/x_mask.png or x.png    its largest piece is the defect

Folders named good hold none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydantic import TypeAdapter, ValidationError

from agent.bundle.bundle import Bundle
from agent.cameras import masks
from agent.cameras.camera import CameraError
from agent.cameras.images import ImageError, is_picture, left_out, list_images, read_image
from agent.clock import Clock
from agent.contract.label import Label
from agent.explain.form import Form
from agent.foreign import shown, stored
from agent.labels.features import Features
from agent.labels.gather import SHARE_OF_PEAK, Gathered, Told, nobody_asks, strongest
from agent.labels.label_set import LabelsError
from agent.labels.learn import Sample, check, one_spelling
from agent.labels.vectors import cut_around, cut_where, vector_of
from agent.line import seams
from agent.line.prepare import PrepareError, prepare
from agent.messages import Box, Flags, Floats, Frame, Prepared

GOOD = "good"
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A picture of a defect; `mask` None: it is found."""

    label: str
    image: Path
    mask: Path | None = None


def pictures(root: Path) -> list[Labelled]:
    """In natural order. Raises LabelsError, for a folder that is no label too, and where none has enough."""
    test = root / "test"
    parent = test if test.is_dir() else root
    truth = root / "ground_truth" if test.is_dir() else None
    found: list[Labelled] = []
    try:
        folders = sorted(one for one in parent.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError as error:
        raise LabelsError(
            f"{shown(str(parent))}: cannot be listed ({error.strerror}); give a folder"
        ) from error
    for folder in folders:
        if folder.name.casefold() == GOOD:
            continue
        try:
            label = _LABEL.validate_python(folder.name)
        except ValidationError as error:
            words = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise LabelsError(f"{shown(str(folder))}: is named after no label: {words}; rename it") from error
        try:
            images = list_images(folder)
        except CameraError:
            continue  # an empty folder; too few are told below
        drawn = _masks(None if truth is None else truth / folder.name)
        found += [
            Labelled(label=label, image=one, mask=drawn.get(f"{one.stem}_mask", drawn.get(one.stem)))
            for one in images
        ]
    check(one_spelling([one.label for one in found]))
    return found


def not_read(labelled: Sequence[Labelled]) -> list[str]:
    """What lies beside these pictures and is none of them, a line for each folder where there is some."""
    folders = dict.fromkeys(one.image.parent for one in labelled)
    return [words for folder in folders if (words := left_out(folder)) is not None]


def of_folder(
    labelled: Sequence[Labelled],
    bundle: Bundle,
    form: Form,
    features: Features,
    clock: Clock,
    *,
    told: Told = nobody_asks,
) -> Gathered:
    """A sample of each picture whose defect can be seen; `form` finds it where no mask says where it is."""
    samples: list[Sample] = []
    refused = not_read(labelled)
    for number, one in enumerate(labelled, 1):
        try:
            vector = vector_of_picture(one, bundle, form, features, clock)
            samples.append(Sample(label=one.label, source=stored(one.image.name), vector=vector))
        except (ImageError, PrepareError, LabelsError) as error:
            refused.append(str(error))
        told(number, len(labelled))
    return Gathered(samples=samples, refused=tuple(refused))


def vector_of_picture(one: Labelled, bundle: Bundle, form: Form, features: Features, clock: Clock) -> Floats:
    """Raises ImageError, PrepareError, and LabelsError for a mask in which nothing is."""
    image = read_image(one.image)
    frame = Frame(camera="", frame_id=0, image=image, captured_ns=0, captured_at=clock.utc_now())
    manifest = bundle.manifest
    stride = manifest.map.stride_px
    prepared = prepare(frame, manifest.input, clock)
    if one.mask is not None:
        flags, box = largest(one.mask, image.shape[:2])
        hot = on_map(flags, prepared, stride)
        (cut,) = cut_where(prepared, hot, [box], stride_px=stride, grid=features.grid)
    else:
        maps = form.explain(prepared.tiles).maps
        evidence = seams.mosaic(maps, prepared.origins, manifest.input.tile_px, prepared.shape)
        threshold = manifest.threshold.raw
        if evidence.max() < threshold:
            threshold = SHARE_OF_PEAK * float(evidence.max())
        box = strongest(evidence, threshold, prepared.scale, stride, (image.shape[0], image.shape[1]))
        (cut,) = cut_around(prepared, evidence, threshold, [box], stride_px=stride, grid=features.grid)
    return vector_of(features.of(cut.tile), cut.weights, features.coarsest)


def largest(path: Path, shape: tuple[int, ...]) -> tuple[Flags, Box]:
    """The largest connected piece (8 neighbours) of a mask (H, W), and its box.

    Raises ImageError, and LabelsError for a mask of another size, of nothing or of what is good.
    """
    mask, _ = masks.marked(path)
    if mask.shape != shape:
        raise LabelsError(f"{shown(str(path))}: is {mask.shape}, and its picture {shape}; give it its mask")
    if (why := masks.inverted(mask)) is not None:
        raise LabelsError(f"{shown(str(path))}: {why}")
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        raise LabelsError(f"{shown(str(path))}: marks nothing; remove the mask, or the picture")
    index = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(one) for one in stats[index][:4])
    return pieces == index, (x, y, width, height)


def on_map(flags: Flags, prepared: Prepared, stride_px: int) -> Flags:
    """Which cells of the scaled frame's map pixels (H, W) of the frame lie in."""
    cells = np.zeros(tuple(-(-side // stride_px) for side in prepared.shape), np.bool_)
    for_each = np.nonzero(flags)
    rows, columns = ((places * prepared.scale / stride_px).astype(int) for places in for_each)
    cells[np.minimum(rows, cells.shape[0] - 1), np.minimum(columns, cells.shape[1] - 1)] = True
    return cells


def _masks(folder: Path | None) -> dict[str, Path]:
    """By stem; none where the folder is not there."""
    if folder is None or not folder.is_dir():
        return {}
    return {one.stem: one for one in sorted(folder.iterdir()) if is_picture(one.name)}
