"""Verdict to durable record: one for each trigger, committed before anybody hears of it.

The sequence number is given here, one after the other; the outbox commits in order, so what is on
disk never has a gap. Page, metrics and log are told by the outbox after the commit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import numpy as np
import structlog

from agent.clock import Clock, rfc3339
from agent.contract import payloads
from agent.contract.topics import Topics
from agent.contract.verdict import (
    EVALUATION,
    CropRef,
    DefectMessage,
    FrameMessage,
    ModelMessage,
    ScoreMessage,
    SettingsMessage,
    TimingMessage,
    Verdict,
)
from agent.foreign import stored
from agent.line.binding import Bound
from agent.line.bindings import Bindings
from agent.line.crops import Crop, cut_crops, cut_sample
from agent.line.judge import invalid_ratio
from agent.line.prepare import eight_bits
from agent.messages import Defect, Frame, FrameFault, Inspection, Judgement, Pixels, Prepared, Scale
from agent.outbox.outbox import Outbox
from agent.rolls.rolls import Rolls
from agent.settings import settings
from agent.status.board import Board
from agent.status.metrics import Metrics

log = structlog.get_logger()

MAX_DEFECTS = 16  # named in one verdict, strongest first: it stays under 8 KiB
MAX_DETAIL = 500

Keep: TypeAlias = Callable[[Verdict, Frame, Inspection | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What every verdict says of who made it."""

    station: str
    boot_id: str
    model: ModelMessage
    engine: Callable[[], str]  # that serves now, for records that no engine judged
    settings: SettingsMessage
    simulated: frozenset[str]  # cameras that are not real
    clock_synced: Callable[[], bool | None]
    new_id: Callable[[], str]
    scales: Mapping[str, Scale] = field(default_factory=dict)  # of cameras that are calibrated


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Everything that one step found out about a frame."""

    frame: Frame
    taken_ns: int  # when the line took it from the ring
    prepared: Prepared
    inspection: Inspection
    judgement: Judgement
    judged_ns: int


class Publisher:
    """Makes the records of all lines; each method is safe from any thread."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        topics: Topics,
        origin: Origin,
        crops: settings.Crops,
        clock: Clock,
        board: Board,
        metrics: Metrics,
        first_sequence: int,
        bindings: Bindings | None = None,
        rolls: Rolls | None = None,
        keep: Keep | None = None,
    ) -> None:
        """`keep` is told of every record that has a picture, after its commit."""
        self._outbox = outbox
        self._topics = topics
        self._origin = origin
        self._crops = crops
        self._clock = clock
        self._board = board
        self._metrics = metrics
        self._sequence = first_sequence
        self._bindings = bindings
        self._rolls = rolls
        self._keep = keep
        self._order = threading.Lock()

    def record(self, judged: Judged) -> Verdict:
        """A judged frame's record, with its crops. Raises OutboxError when nothing can be kept."""
        frame, judgement = judged.frame, judged.judgement
        picture = _shown(frame)
        cut = cut_crops(picture, judgement.defects, self._crops, self._origin.new_id)
        every = self._crops.every_nth_pass
        if judgement.verdict == "pass" and every and judgement.peak_px and frame.frame_id % every == 0:
            cut = [cut_sample(picture, judgement.peak_px, self._crops, self._origin.new_id)]
        return self._append(
            frame,
            judgement,
            detail=None,
            frame_message=_frame_message(frame),
            crops=cut,
            timing=_timing(judged),
            engine=judged.inspection.engine,
            announce=lambda verdict: self._show(verdict, judged, picture),
        )

    def record_undecided(self, frame: Frame, reason: str, detail: str) -> Verdict:
        """The record of a frame that could not be judged to the end."""
        return self._append(
            frame,
            Judgement(verdict="undecided", reason=reason, score=math.nan, threshold=0.0, defects=()),
            detail=detail,
            frame_message=_frame_message(frame),
            announce=lambda verdict: self._show_unjudged(verdict, frame),
        )

    def record_skipped(self, fault: FrameFault) -> Verdict:
        """The record of a trigger that gave no judgeable picture."""
        return self._append(
            fault,
            Judgement(verdict="skipped", reason=fault.reason, score=math.nan, threshold=0.0, defects=()),
            detail=fault.detail,
            frame_message=FrameMessage(
                id=fault.frame_id,
                first_line=fault.first_line,
                lines=0,
                lines_lost=fault.lines_lost,
                encoder=fault.encoder,
                sha256=None,
            ),
            announce=lambda verdict: self._board.judged(verdict, fault.thumbnail),
        )

    def _append(
        self,
        item: Frame | FrameFault,
        judgement: Judgement,
        *,
        detail: str | None,
        frame_message: FrameMessage,
        announce: Callable[[Verdict], None],
        crops: list[Crop] | None = None,
        timing: dict[str, float] | None = None,
        engine: str = "",
    ) -> Verdict:
        origin, now = self._origin, self._clock.utc_now()
        evaluation, code = EVALUATION[judgement.verdict]
        bound = Bound() if self._bindings is None else self._bindings.of(item.camera, item.captured_ns)
        with self._order:
            if self._outbox.failure is not None:
                raise self._outbox.failure
            verdict = Verdict(
                result_id=origin.new_id(),
                sequence=self._sequence,
                boot_id=origin.boot_id,
                station=origin.station,
                camera=item.camera,
                created=rfc3339(now),
                clock_synced=origin.clock_synced(),
                verdict=judgement.verdict,
                result_evaluation=evaluation,
                result_evaluation_code=code,
                reason=judgement.reason,
                detail=_text(detail),
                is_partial=isinstance(item, Frame) and (item.is_partial or invalid_ratio(item) > 0),
                is_simulated=item.camera in origin.simulated,
                part_id=bound.part_id or _text(item.part_id),
                job_id=bound.job_id,
                roll_id=self._rolls and self._rolls.roll_id(item.camera, item.first_line),
                score=_score(judgement),
                defects=_defects(judgement, crops or [], item.first_line, origin.scales.get(item.camera)),
                continued_from_line=judgement.continued_from_line,
                frame=frame_message,
                timing_ms=TimingMessage(
                    **(timing or {}),
                    capture_to_recorded=_ms(self._clock.monotonic_ns() - item.captured_ns),
                ),
                model=origin.model.model_copy(update={"engine": engine or origin.engine()}),
                settings=origin.settings,
            )
            rows = [payloads.verdict_row(self._topics, verdict)]
            for crop in crops or []:
                rows.append(
                    payloads.crop_row(
                        self._topics,
                        camera=item.camera,
                        crop_id=crop.crop_id,
                        result_id=verdict.result_id,
                        defect_index=crop.defect_index,
                        bbox_px=crop.bbox_px,
                        image=crop.image,
                        content_type=crop.content_type,
                        created=now,
                        of_pass=judgement.verdict == "pass",
                    )
                )
            self._outbox.append(rows, lambda: self._committed(verdict, item, announce))
            self._sequence += 1
        return verdict

    def _committed(
        self, verdict: Verdict, item: Frame | FrameFault, announce: Callable[[Verdict], None]
    ) -> None:
        """In the outbox's thread: the record is durable, now others may know."""
        self._metrics.frame(verdict.camera)
        self._metrics.verdict(verdict.camera, verdict.verdict)
        if verdict.verdict in ("undecided", "skipped"):
            self._metrics.unjudged(verdict.camera, verdict.reason or "other")
        self._metrics.recorded((self._clock.monotonic_ns() - item.captured_ns) / 1e9)
        if verdict.timing_ms.infer is not None:
            self._metrics.inspected(verdict.timing_ms.infer / 1e3)
        if isinstance(item, FrameFault):
            self._metrics.skipped(item.reason)
            self._metrics.camera_fault(item.camera, item.reason)
        if verdict.frame.lines_lost:
            self._metrics.lines_lost(verdict.camera, verdict.frame.lines_lost)
        if self._rolls is not None:
            self._rolls.take(verdict, item.image.shape[1] if isinstance(item, Frame) else 0)
        announce(verdict)
        log.debug("verdict", sequence=verdict.sequence, camera=verdict.camera, verdict=verdict.verdict)

    def _show(self, verdict: Verdict, judged: Judged, picture: Pixels) -> None:
        self._board.judged(verdict, picture)
        if self._keep is not None:
            self._keep(verdict, judged.frame, judged.inspection)
        if verdict.verdict != "pass":
            self._board.rejected(
                verdict,
                image=picture,
                restored=judged.inspection.restored,
                evidence=judged.inspection.evidence,
                threshold=judged.judgement.threshold,
            )

    def _show_unjudged(self, verdict: Verdict, frame: Frame) -> None:
        self._board.judged(verdict, _shown(frame))
        if self._keep is not None:
            self._keep(verdict, frame, None)


def _frame_message(frame: Frame) -> FrameMessage:
    return FrameMessage(
        id=frame.frame_id,
        first_line=frame.first_line,
        lines=frame.image.shape[0],
        lines_lost=frame.lines_lost,
        encoder=frame.encoder,
        sha256=frame.digest(),
    )


def _shown(frame: Frame) -> Pixels:
    """In 8 bits, as crops and page have it; also of frames that claim another depth than they have."""
    if frame.image.dtype != np.uint16:
        return cast(Pixels, frame.image)
    return eight_bits(frame.image, frame.bit_depth if frame.bit_depth > 8 else 16)


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
    judgement: Judgement, crops: list[Crop], first_line: int, scale: Scale | None
) -> tuple[DefectMessage, ...]:
    by_index = {crop.defect_index: crop for crop in crops}
    return tuple(
        DefectMessage(
            index=index,
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
    return {
        "capture_to_prepared": _ms(judged.prepared.prepared_ns - captured),
        "queued": _ms(judged.taken_ns - captured),
        "infer": _ms(inspection.finished_ns - inspection.started_ns),
        "judge": _ms(judged.judged_ns - inspection.finished_ns),
    }


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)
