"""From what was found out about a trigger to its record: pure; `publish` gives the number and the moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

import numpy as np

from agent.clock import rfc3339
from agent.contract import payloads
from agent.contract.chain import MEMBER_BYTES
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.contract.verdict import (
    EVALUATION,
    CropRef,
    DefectMessage,
    FrameMessage,
    LabelReason,
    ScoreMessage,
    TimingMessage,
    Verdict,
)
from agent.foreign import stored
from agent.line.binding import Bound
from agent.line.crops import Crop, cut_crops, cut_sample
from agent.line.judge import invalid_ratio
from agent.line.recipe import Recipe
from agent.messages import Defect, Frame, FrameFault, Inspection, Item, Judgement, Pixels, Prepared, Scale
from agent.track.depth import eight_bits

MAX_DEFECTS = 16  # named in one verdict, strongest first: it stays under 8 KiB
MAX_BYTES = 8191 - MEMBER_BYTES
MAX_DETAIL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What every record of a station says of it."""

    station: str
    boot_id: str
    simulated: frozenset[str]  # cameras that are not real
    scales: Mapping[str, Scale] = field(default_factory=dict)  # of cameras that are calibrated


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Everything that one step found out about a frame, and the recipe by which it did."""

    frame: Frame
    recipe: Recipe
    taken_ns: int  # when the line took it from the ring
    prepared: Prepared
    inspection: Inspection
    judgement: Judgement
    judged_ns: int
    bound: Bound | None = None  # None: it is asked for when the record is made
    part_line: int = 0  # of the frame's first line, counted from where its part begins
    naming_ns: int | None = None  # how long labels took; None where none were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record that has no number yet."""

    item: Item
    recipe: Recipe
    judgement: Judgement
    frame: FrameMessage
    engine: str
    detail: str | None = None
    crops: tuple[Crop, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    part_line: int = 0  # as `Judged` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a record gets when it is made."""

    result_id: str
    sequence: int
    created: datetime
    recorded_ns: int
    clock_synced: bool | None
    bound: Bound
    roll_id: str | None


def judged_draft(judged: Judged, picture: Pixels, new_id: Callable[[], str]) -> Draft:
    """Of a frame that was judged, with crops out of `picture`, which is the frame in 8 bits."""
    return Draft(
        item=judged.frame,
        recipe=judged.recipe,
        judgement=judged.judgement,
        frame=_frame_message(judged.frame),
        engine=judged.inspection.engine or judged.recipe.engine.describe().name,
        crops=_crops(judged, picture, new_id),
        timing=_timing(judged),
        part_line=judged.part_line,
    )


def undecided_draft(frame: Frame, recipe: Recipe, reason: str, detail: str) -> Draft:
    """Of a frame that could not be judged to the end."""
    return Draft(
        item=frame,
        recipe=recipe,
        judgement=Judgement(verdict="undecided", reason=reason, score=math.nan, threshold=0.0, defects=()),
        frame=_frame_message(frame),
        engine=recipe.engine.describe().name,
        detail=detail,
    )


def skipped_draft(fault: FrameFault, recipe: Recipe) -> Draft:
    """Of a trigger that gave no judgeable picture."""
    return Draft(
        item=fault,
        recipe=recipe,
        judgement=Judgement(
            verdict="skipped", reason=fault.reason, score=math.nan, threshold=0.0, defects=()
        ),
        frame=FrameMessage(
            id=fault.frame_id,
            epoch=fault.epoch,
            first_line=fault.first_line,
            lines=0,
            lines_lost=fault.lines_lost,
            encoder=fault.encoder,
            sha256=None,
        ),
        engine=recipe.engine.describe().name,
        detail=fault.detail,
    )


def without_part(draft: Draft) -> Draft:
    """Of a trigger that should have a part and has none: what was decided is no decision on any part."""
    judgement = draft.judgement
    if judgement.verdict not in ("pass", "fail"):
        return draft
    return replace(
        draft,
        judgement=replace(judgement, verdict="undecided", reason="part_missing"),
        detail=f"no part was named for this trigger, and camera {draft.item.camera} has part_required",
        crops=() if judgement.verdict == "pass" else draft.crops,
    )


def verdict_of(draft: Draft, stamp: Stamp, origin: Origin) -> Verdict:
    """The record as it leaves."""
    item, judgement, recipe = draft.item, draft.judgement, draft.recipe
    evaluation, code = EVALUATION[judgement.verdict]
    made = Verdict(
        result_id=stamp.result_id,
        sequence=stamp.sequence,
        boot_id=origin.boot_id,
        station=origin.station,
        camera=item.camera,
        created=rfc3339(stamp.created),
        clock_synced=stamp.clock_synced,
        verdict=judgement.verdict,
        result_evaluation=evaluation,
        result_evaluation_code=code,
        reason=judgement.reason,
        detail=_text(draft.detail),
        is_partial=isinstance(item, Frame) and (item.is_partial or invalid_ratio(item) > 0),
        is_simulated=item.camera in origin.simulated,
        part_id=stamp.bound.part_id or _text(item.part_id),
        bind_id=stamp.bound.bind_id,
        job_id=stamp.bound.job_id,
        recipe_id=recipe.name,
        roll_id=stamp.roll_id,
        score=_score(judgement),
        sample=_reference(draft.crops[0]) if judgement.verdict == "pass" and draft.crops else None,
        defects=_defects(judgement, draft.crops, item.first_line, origin.scales.get(item.camera)),
        continued_from_line=judgement.continued_from_line,
        frame=draft.frame,
        timing_ms=TimingMessage(
            **draft.timing, capture_to_recorded=_ms(stamp.recorded_ns - item.captured_ns)
        ),
        model=recipe.model(draft.engine, item.camera),
        settings=recipe.settings,
    )
    is_short = recipe.labels is None and len(made.defects) < MAX_DEFECTS
    return made if is_short else within(made)


def within(verdict: Verdict, max_bytes: int = MAX_BYTES) -> Verdict:
    """With as many of its defects, strongest first, as leave it short enough: labels may be long."""
    while verdict.defects and len(payloads.encode(verdict)) > max_bytes:
        verdict = verdict.model_copy(update={"defects": verdict.defects[:-1]})
    return verdict


def rows_of(draft: Draft, verdict: Verdict, created: datetime, topics: Topics) -> list[Row]:
    """The record's own row, and one for each crop that it names: what it does not name nobody could check."""
    named = {one.crop_id for one in (*(defect.crop for defect in verdict.defects), verdict.sample) if one}
    crops = [
        payloads.crop_row(
            topics,
            camera=verdict.camera,
            crop_id=crop.crop_id,
            result_id=verdict.result_id,
            defect_index=crop.defect_index,
            bbox_px=crop.bbox_px,
            image=crop.image,
            sha256=crop.sha256,
            content_type=crop.content_type,
            created=created,
            of_pass=verdict.verdict == "pass",
        )
        for crop in draft.crops
        if crop.crop_id in named
    ]
    return [payloads.verdict_row(topics, verdict), *crops]


def eight_bit_picture(frame: Frame) -> Pixels:
    """As crops and page have it; also of frames that claim another depth than they have."""
    if frame.image.dtype != np.uint16:
        return cast(Pixels, frame.image)
    return eight_bits(frame.image, frame.bit_depth if frame.bit_depth > 8 else 16)


def _crops(judged: Judged, picture: Pixels, new_id: Callable[[], str]) -> tuple[Crop, ...]:
    """Of the defects; of every nth pass its strongest spot."""
    judgement, wanted = judged.judgement, judged.recipe.crops
    every = wanted.every_nth_pass
    if judgement.verdict == "pass" and every and judgement.peak_px and judged.frame.frame_id % every == 0:
        return (cut_sample(picture, judgement.peak_px, wanted, new_id),)
    return tuple(cut_crops(picture, judgement.defects, wanted, new_id))


def _frame_message(frame: Frame) -> FrameMessage:
    return FrameMessage(
        id=frame.frame_id,
        epoch=frame.epoch,
        first_line=frame.first_line,
        lines=frame.image.shape[0],
        lines_lost=frame.lines_lost,
        encoder=frame.encoder,
        sha256=frame.digest(),
    )


def _text(words: str | None) -> str | None:
    """At most MAX_DETAIL characters, all of which JSON can carry: names of files may be any bytes."""
    return None if words is None else stored(words[:MAX_DETAIL])


def _score(judgement: Judgement) -> ScoreMessage | None:
    if not math.isfinite(judgement.score):
        return None
    return ScoreMessage(
        raw=judgement.score,
        threshold=judgement.threshold,
        normalized=100 * judgement.score / judgement.threshold,
    )


def _defects(
    judgement: Judgement, crops: tuple[Crop, ...], first_line: int, scale: Scale | None
) -> tuple[DefectMessage, ...]:
    by_index = {crop.defect_index: crop for crop in crops}
    return tuple(
        DefectMessage(
            index=index,
            label=defect.label,
            label_certainty=defect.label_certainty,
            label_reason=cast(LabelReason | None, defect.label_reason),
            score=defect.score,
            bbox_px=defect.bbox_px,
            bbox_web=defect.bbox_web,
            area_px=defect.area_px,
            centroid_mm=None if scale is None else _centroid_mm(defect, first_line, scale),
            area_mm2=None
            if scale is None
            else round(defect.area_px * scale.mm_per_px * scale.mm_per_line, 6),
            crop=_reference(by_index.get(index)),
        )
        for index, defect in enumerate(judgement.defects[:MAX_DEFECTS])
    )


def _centroid_mm(defect: Defect, first_line: int, scale: Scale) -> tuple[float, float]:
    """From the edges of pixel 0 and line 0, where a whole number is the middle of a pixel."""
    x, y = defect.centroid_px
    return round((x + 0.5) * scale.mm_per_px, 3), round((first_line + y + 0.5) * scale.mm_per_line, 3)


def _reference(crop: Crop | None) -> CropRef | None:
    if crop is None:
        return None
    return CropRef(crop_id=crop.crop_id, sha256=crop.sha256, bytes=len(crop.image))


def _timing(judged: Judged) -> dict[str, float]:
    captured, inspection = judged.frame.captured_ns, judged.inspection
    naming = {} if judged.naming_ns is None else {"label": _ms(judged.naming_ns)}
    return {
        **naming,
        "capture_to_prepared": _ms(judged.prepared.prepared_ns - captured),
        "queued": _ms(judged.taken_ns - captured),
        "infer": _ms(inspection.finished_ns - inspection.started_ns),
        "judge": _ms(judged.judged_ns - inspection.finished_ns),
    }


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)
