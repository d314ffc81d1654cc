"""Evidence to verdict: pure, no I/O, no clock.

The rules, in order:
1. A score, map or threshold that is not a number decides nothing: undecided, reason not_finite.
2. More lines lost than the camera's settings allow: undecided, reason lost_lines. Never a pass.
3. The frame's raw score, its worst tile's, is compared with the threshold once, in float32:
   at or above it the frame fails.
4. Defects are the connected pixels of the merged map at or above the threshold. They say where, they do not
   decide: a failed frame names at least its strongest spot, however small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agent.line import seams
from agent.line.ignore import Ignore
from agent.line.seams import Region
from agent.messages import Defect, Frame, Inspection, Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides, from bundle and settings."""

    threshold: float
    scale: float  # scaled-frame pixels per frame pixel
    stride_px: int  # scaled-frame pixels per map pixel
    min_area_px: int
    max_invalid_ratio: float
    max_windows: int = 1  # that one defect of an endless web may span
    calibrated: Mapping[str, float] = field(default_factory=dict)  # thresholds of other precisions than f32
    ignore: Ignore | None = None  # regions that count for nothing

    def threshold_in(self, precision: str) -> float:
        return self.calibrated.get(precision, self.threshold)


def judge(frame: Frame, inspection: Inspection, rules: Rules) -> Judgement:
    """The decision on one frame, by the rules above."""
    with np.errstate(over="ignore"):
        threshold = np.float32(rules.threshold_in(inspection.precision))
    score = np.float32(inspection.scores.max())
    if not all(np.isfinite(one).all() for one in (threshold, inspection.scores, inspection.evidence)):
        return _undecided("not_finite", float("nan"), float(threshold))
    if invalid_ratio(frame) > rules.max_invalid_ratio:
        return _undecided("lost_lines", float(score), float(threshold))
    failed = bool(score >= threshold)
    return Judgement(
        verdict="fail" if failed else "pass",
        reason=None,
        score=float(score),
        threshold=float(threshold),  # as compared, or a tie would be told as a score below it
        defects=find_defects(frame, inspection, rules) if failed else (),
        peak_px=_peak_px(frame, inspection, rules),
    )


def find_defects(frame: Frame, inspection: Inspection, rules: Rules) -> tuple[Defect, ...]:
    """Connected defects in frame pixels, strongest first; small ones only when there is no other.

    Rounding and a small frame's repeated border can lift the score above the map: its peak then counts.
    """
    lines, width = frame.image.shape[:2]
    threshold = min(rules.threshold_in(inspection.precision), float(inspection.evidence.max()))
    for min_area_px in (rules.min_area_px, 1):
        found = seams.defects(
            inspection.evidence,
            threshold=threshold,
            stride=rules.stride_px,
            scale=rules.scale,
            frame_shape=(lines, width),
            min_area_px=min_area_px,
        )
        if found:
            return found
    return ()


def find_regions(frame: Frame, inspection: Inspection, rules: Rules) -> tuple[Region, ...]:
    """What `Spans` joins over window borders: all regions at or above the threshold, passed or failed."""
    return seams.regions(
        inspection.evidence,
        threshold=rules.threshold_in(inspection.precision),
        stride=rules.stride_px,
        scale=rules.scale,
        frame_shape=(frame.image.shape[0], frame.image.shape[1]),
    )


def _peak_px(frame: Frame, inspection: Inspection, rules: Rules) -> tuple[int, int]:
    lines, width = frame.image.shape[:2]
    row, column = divmod(int(inspection.evidence.argmax()), inspection.evidence.shape[1])
    x, y = (int((cell + 0.5) * rules.stride_px / rules.scale) for cell in (column, row))
    return min(x, width - 1), min(y, lines - 1)


def invalid_ratio(frame: Frame) -> float:
    """Share of the frame's lines that were filled in; without places, lost lines over the lines there are."""
    if frame.valid is None:
        return frame.lines_lost / max(1, len(frame.image))
    # Not 1 - mean: 2 of 100 would be more than 0.02.
    return int(np.count_nonzero(~frame.valid)) / max(1, len(frame.valid))


def _undecided(reason: str, score: float, threshold: float) -> Judgement:
    return Judgement(verdict="undecided", reason=reason, score=score, threshold=threshold, defects=())
