"""Whether what a proof found is enough: pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agent.remote.proof.document import Flips, Found, Shift, VerdictWord
from agent.settings.remote import Proof

THRESHOLD = 100.0  # where a normalised score fails


def refusal(found: Found, limits: Proof) -> str | None:
    """Why the candidate may not serve, all reasons in one sentence; None when it may."""
    judged, reasons = found.frames.judged, []
    if judged < limits.min_frames:
        reasons.append(
            f"{judged} frames of the archive could be judged, and remote.proof.min_frames is "
            f"{limits.min_frames}: let the archive keep more, or lower it"
        )
    allowed = allowed_flips(judged, limits)
    if found.flips.all > allowed:
        reasons.append(
            f"{found.flips.all} of {judged} verdicts flip ({found.flips.to_fail} to fail, "
            f"{found.flips.to_pass} to pass, {found.flips.to_undecided} to undecided), {allowed} may by "
            "remote.proof.max_flip_share"
        )
    if found.shift is not None and found.shift.median > limits.max_score_shift:
        direction = "up" if found.shift.bias > 0 else "down"
        reasons.append(
            f"scores shift by {found.shift.median:.1f} % of the threshold ({direction}, median of {judged} "
            f"frames), {limits.max_score_shift:g} may by remote.proof.max_score_shift"
        )
    if not reasons:
        return None
    return f"bundle {found.candidate.name} judges the archive's frames otherwise here: {'; '.join(reasons)}"


def allowed_flips(judged: int, limits: Proof) -> int:
    """Of so many frames; few frames allow none."""
    return math.floor(limits.max_flip_share * judged + 1e-9)


def shift(incumbent: float, candidate: float) -> float:
    """From one normalised score to the other, in hundredths of the threshold or of the larger one above it.

    A score far over the threshold may move by many thresholds, and decides nothing by that.
    """
    return THRESHOLD * ((candidate - incumbent) / max(incumbent, candidate, THRESHOLD))


def shift_of(shifts: Sequence[float]) -> Shift | None:
    """Of all frames that both decided; None where there is none."""
    if not shifts:
        return None
    sizes = np.abs(shifts)
    return Shift(
        median=round(float(np.median(sizes)), 3),
        worst=round(float(sizes.max()), 3),
        bias=round(float(np.median(shifts)), 3),
    )


def flips_of(verdicts: Sequence[tuple[VerdictWord, VerdictWord]]) -> Flips:
    """Of pairs of incumbent and candidate: a frame that the incumbent could not decide is no flip."""
    flipped = [candidate for incumbent, candidate in verdicts if is_flip(incumbent, candidate)]
    return Flips(
        to_fail=flipped.count("fail"),
        to_pass=flipped.count("pass"),
        to_undecided=flipped.count("undecided"),
    )


def is_flip(incumbent: VerdictWord, candidate: VerdictWord) -> bool:
    return incumbent not in ("undecided", candidate)
