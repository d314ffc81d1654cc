"""Scores of good parts, to set a threshold by: of an archive beside a running agent, or of picture files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from agent.archive import entry, look
from agent.archive.entry import EntryError
from agent.archive.index import Query
from agent.bundle.bundle import InputSpec
from agent.cameras.images import ImageError, read_image
from agent.clock import Clock
from agent.engines.engine import Engine
from agent.line.infer import infer
from agent.line.prepare import PrepareError, prepare
from agent.messages import Frame
from agent.remote.commands.goods import Goods
from agent.settings.archive import Archive
from agent.settings.camera import MAX_MEGAPIXELS
from agent.teach.threshold import Scored, ThresholdError

STEPS_PER_STOP = 2  # of light: half a stop is one group


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Of good parts, and why some files are not among them."""

    parts: Sequence[Scored]
    refused: tuple[str, ...] = ()


def archive_of(wanted: Archive) -> Goods:
    """Results of the bundle that judged last. Raises ArchiveError, and ThresholdError where there is none."""
    if wanted.folder is None:
        raise ThresholdError("archive.folder is not set, so no frames are kept; give --good, or set it")
    folder = wanted.folder
    for one in look.find(folder, Query(limit=100)):
        try:
            bundle = entry.read_bundle(folder / one.path)
        except (OSError, EntryError):
            continue
        break
    else:
        raise ThresholdError(f"{folder}: no frame is kept there yet; give --good, or let the line run")
    find = partial(look.find, folder)
    return Goods(find, folder, pass_share=wanted.pass_share, bundle_sha256=lambda: bundle)


def of_archive(goods: Goods, camera: str | None, frames: int) -> Scores:
    """Raises ArchiveError."""
    found = [one for one in goods.good(camera, frames) if one is not None]
    return Scores(
        parts=[Scored(score=one.score, camera=one.camera, minute=one.minute) for one in found],
    )


def of_files(
    files: Sequence[Path],
    spec: InputSpec,
    engine: Engine,
    clock: Clock,
    *,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Scores:
    """Of picture files, grouped by light; `told` is called after each."""
    parts: list[Scored] = []
    levels: list[float] = []
    refused: list[str] = []
    for number, file in enumerate(files, 1):
        try:
            image = read_image(file, MAX_MEGAPIXELS)
            frame = Frame(camera="", frame_id=number, image=image, captured_ns=0, captured_at=clock.utc_now())
            seen = infer(prepare(frame, spec, clock), engine, clock, restored=False)
        except (ImageError, PrepareError) as error:
            refused.append(str(error))
            continue
        parts.append(Scored(score=float(seen.scores.max())))
        levels.append(float(image.mean()))
        told(number, len(files))
    lights = lights_of(levels)
    return Scores(
        parts=[replace(part, light=light) for part, light in zip(parts, lights, strict=True)],
        refused=tuple(refused),
    )


def lights_of(levels: Sequence[float]) -> list[str]:
    """How bright each picture is beside the middle one, in half stops; empty where all are alike."""
    if not levels:
        return []
    middle = max(1.0, float(np.median(levels)))
    steps = [round(STEPS_PER_STOP * math.log2(max(level, 1.0) / middle)) for level in levels]
    if len(set(steps)) == 1:
        return [""] * len(levels)
    return ["usual light" if not step else f"light {step / STEPS_PER_STOP:+.1f} stops" for step in steps]
