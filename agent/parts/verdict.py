"""What the views of a part say together: pure.

The worst view decides. Fail: a view failed. Else undecided: a view is missing, undecided or skipped, or it is
in doubt whose it is. Else pass. So a part passes only when every camera of its rule saw it, and saw it pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent.clock import rfc3339
from agent.contract.part import PartVerdict, PartVerdictName, PartView
from agent.parts.grouping import OPEN_MOST
from agent.parts.view import Decided, Rule, View

EVALUATION: dict[PartVerdictName, tuple[Literal["OK", "NotOK", "NotDecidable"], int]] = {
    "pass": ("OK", 1),
    "fail": ("NotOK", 2),
    "undecided": ("NotDecidable", 3),
}
MAX_DETAIL = 500

_WORDS = {
    "late_view": "it came after its part was told",
    "seen_twice": "a camera saw it once more before the others had",
    "two_parts": "it may be of two parts; keep window_ticks below half of their distance",
    "out_of_step": "the cameras' trigger counters are not in step yet; they are after one part that stands "
    "alone for timeout_s",
    "encoder_back": "the encoder went back or began again",
    "no_key": "nothing in its record says which part it is of",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """When, where and with which number a part verdict is made."""

    sequence: int
    boot_id: str
    station: str
    created: datetime
    clock_synced: bool | None


def verdict_of(rule: Rule, decided: Decided, made: Made) -> PartVerdict:
    """The part verdict as it leaves."""
    verdict, reason, detail = _judged(rule, decided)
    evaluation, code = EVALUATION[verdict]
    views = decided.views
    return PartVerdict(
        result_id=decided.result_id,
        sequence=made.sequence,
        boot_id=made.boot_id,
        station=made.station,
        rule=rule.name,
        created=rfc3339(made.created),
        clock_synced=made.clock_synced,
        verdict=verdict,
        result_evaluation=evaluation,
        result_evaluation_code=code,
        reason=reason,
        detail=None if detail is None else detail[:MAX_DETAIL],
        is_partial=any(view.is_partial for view in views),
        is_simulated=any(view.is_simulated for view in views),
        part_id=_agreed(view.part_id for view in views),
        job_id=_agreed(view.job_id for view in views),
        by=rule.by,
        key=None if decided.key is None else str(decided.key),
        cameras=rule.cameras,
        missing=decided.missing,
        views=tuple(_view(view) for view in views),
        late_for=decided.late_for,
    )


def _judged(rule: Rule, decided: Decided) -> tuple[PartVerdictName, str | None, str | None]:
    views = decided.views
    if any(view.verdict == "fail" for view in views):
        return "fail", None, None
    if decided.doubt is not None:
        cameras = ", ".join(view.camera for view in views)
        return "undecided", decided.doubt, f"view of {cameras}: {_WORDS[decided.doubt]}"
    if decided.missing:
        seconds = rule.timeout_ns / 1e9
        missing = ", ".join(decided.missing)
        return (
            "undecided",
            "view_missing",
            f"no view of {missing} came in time: within {seconds:g} s, and before {OPEN_MOST} newer parts",
        )
    if len(ids := {view.part_id for view in views} - {None}) > 1:
        return (
            "undecided",
            "mixed_ids",
            f"the views bear {len(ids)} part ids: {', '.join(sorted(map(str, ids)))}",
        )
    open_ = [view for view in views if view.verdict != "pass"]
    if open_:
        words = ", ".join(f"{view.camera}: {view.verdict} ({view.reason})" for view in open_)
        return "undecided", "view_undecided", words
    return "pass", None, None


def _agreed(said: Iterable[str | None]) -> str | None:
    values = {one for one in said if one is not None}
    return values.pop() if len(values) == 1 else None


def _view(view: View) -> PartView:
    return PartView(
        camera=view.camera,
        result_id=view.result_id,
        sequence=view.sequence,
        boot_id=view.boot_id,
        verdict=view.verdict,
        reason=view.reason,
        score=view.score,
        defects=view.defects,
        frame_id=view.frame_id,
        encoder=view.encoder,
    )
