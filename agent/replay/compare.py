"""The record of then beside the judgement of now: pure.

Differences of scores are shares of the threshold, or of a score above it. On the engine of then they may be
SAME_ENGINE, on another one what the bundle allows its golden scores. Boxes are equal on the engine of
then; on another one those count that share more than half of their area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agent.line.record import MAX_DEFECTS
from agent.messages import Box, Floats, Judgement
from agent.messages import Defect as Found
from agent.replay.document import Row
from agent.replay.told import Defect, Told

SAME_ENGINE = 1e-6
HALF_PRECISION = 2.0**-11  # the archive keeps maps so
ENOUGH = 0.5  # of the area of both boxes together, that they share
SPANS_WINDOWS = "defects that reach over several windows were joined then, and one window is judged now"


def rows_of(
    told: Told, judgement: Judgement, *, kept: Floats | None, evidence: Floats, allowed: float
) -> tuple[Row, ...]:
    """Score, threshold, verdict, map and each defect; `kept` is the map (h, w) of then, `evidence` of now."""
    scale = _scale(told, judgement)
    rows = [
        _number("score", None if told.score is None else told.score.raw, judgement.score, scale, allowed),
        _number(
            "threshold", None if told.score is None else told.score.threshold, judgement.threshold, scale, 0.0
        ),
        _verdict(told, judgement),
    ]
    if kept is not None:
        rows.append(_map(kept, evidence, scale, allowed))
    if not spans_windows(told):
        rows += _defects(told.defects, judgement.defects[:MAX_DEFECTS], scale, allowed)
    return tuple(rows)


def spans_windows(told: Told) -> bool:
    """Whether its defects are more than its own window shows."""
    return told.continued_from_line is not None or any(one.bbox_web is not None for one in told.defects)


def share_of(then: float, now: float, scale: float) -> float:
    """Of the threshold, or of the larger score above it."""
    return abs(now - then) / max(scale, abs(then), abs(now))


def _scale(told: Told, judgement: Judgement) -> float:
    if told.score is not None:
        return abs(told.score.threshold)
    return abs(judgement.threshold) if math.isfinite(judgement.threshold) and judgement.threshold else 1.0


def _number(what: str, then: float | None, now: float, scale: float, allowed: float) -> Row:
    told = now if math.isfinite(now) else None
    if then is None or told is None:
        return Row(what=what, then=then, now=told, is_same=then is told)
    difference = share_of(then, told, scale)
    return Row(
        what=what,
        then=then,
        now=told,
        difference=difference,
        allowed=allowed,
        is_same=difference <= allowed,
    )


def _verdict(told: Told, judgement: Judgement) -> Row:
    """A trigger without its part was undecided whatever its picture shows: that is decided so again."""
    then = _words(told.verdict, told.reason)
    verdict, reason = judgement.verdict, judgement.reason
    if told.reason == "part_missing" and verdict in ("pass", "fail"):
        verdict, reason = "undecided", "part_missing"
    now = _words(verdict, reason)
    return Row(what="verdict", then=then, now=now, is_same=then == now)


def _words(verdict: str, reason: str | None) -> str:
    return verdict if reason is None else f"{verdict} ({reason})"


def _map(kept: Floats, evidence: Floats, scale: float, allowed: float) -> Row:
    what = "map: worst cell"
    if kept.shape != evidence.shape:
        sizes = [" x ".join(map(str, one.shape)) for one in (kept, evidence)]
        return Row(what=what, then=sizes[0], now=sizes[1], is_same=False)
    if not (np.isfinite(kept).all() and np.isfinite(evidence).all()):
        return Row(what=what, then=None, now=None, is_same=False)
    shares = np.abs(kept - evidence) / np.maximum(np.maximum(np.abs(kept), np.abs(evidence)), scale)
    worst = int(shares.argmax())
    difference, largest = float(shares.flat[worst]), allowed + HALF_PRECISION
    return Row(
        what=what,
        then=float(kept.flat[worst]),
        now=float(evidence.flat[worst]),
        difference=difference,
        allowed=largest,
        is_same=difference <= largest,
    )


def _defects(then: Sequence[Defect], now: Sequence[Found], scale: float, allowed: float) -> list[Row]:
    """Each of then beside the one of now that covers it best, and those of now that cover none."""
    left, rows = list(now), []
    for index, one in enumerate(then):
        best = max(left, key=lambda other: overlap(one.bbox_px, other.bbox_px), default=None)
        shared = 0.0 if best is None else overlap(one.bbox_px, best.bbox_px)
        if best is None or shared == 0.0:
            rows.append(Row(what=f"defect {index}", then=_at(one), now=None, is_same=False))
            continue
        left.remove(best)
        is_exact = allowed <= SAME_ENGINE
        same = (one.bbox_px, one.area_px) == (best.bbox_px, best.area_px) if is_exact else shared > ENOUGH
        score = _number(f"defect {index}: score", one.score, best.score, scale, allowed)
        rows += [Row(what=f"defect {index}", then=_at(one), now=_at(best), is_same=same), score]
    return [*rows, *(Row(what="defect", then=None, now=_at(one), is_same=False) for one in left)]


def overlap(one: Box, other: Box) -> float:
    """The area that they share, of that of both together."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    lines = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or lines <= 0:
        return 0.0
    shared = width * lines
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _at(defect: Defect | Found) -> str:
    x, y, width, lines = defect.bbox_px
    return f"{width} x {lines} at {x}, {y}; {defect.area_px} px"
