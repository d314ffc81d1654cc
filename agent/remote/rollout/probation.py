"""Whether a bundle on probation does as well as the one before it: pure, and fed with its own verdicts alone.

What is measured is compared with the health before, so that what was wrong already condemns nobody. A share
that is surely beyond its limit (three standard errors: it is looked at again and again) is a breach at once;
after enough verdicts and seconds the measured value itself must be within the limits, and where it is not,
more verdicts decide. Time runs only while verdicts come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from agent.remote.rollout.baseline import FEWEST, Baseline, Sample
from agent.settings.remote import Probation

STANDS_AFTER_S = 60.0  # without a verdict; what is shorter counts as running
PATIENCE = 3  # times the verdicts of a probation, after which doubt counts against the bundle
SLOW_SHARE = 0.05  # of the verdicts that may be slower than the limit
_SIGMAS = 3.0

Doubt: TypeAlias = Literal["within", "doubtful", "beyond"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a bundle has done since it serves."""

    verdicts: int = 0
    errors: int = 0
    judged: int = 0
    rejects: int = 0
    slow: int = 0  # beyond the limit on latency
    score_sum: float = 0.0
    score_squares: float = 0.0
    running_s: float = 0.0
    last_ns: int | None = None

    def after(self, sample: Sample, baseline: Baseline | None, limits: Probation) -> Trial:
        """With one verdict more."""
        gap_s = 0.0 if self.last_ns is None else (sample.at_ns - self.last_ns) / 1e9
        seen = replace(
            self,
            verdicts=self.verdicts + 1,
            errors=self.errors + sample.is_error,
            running_s=self.running_s + (gap_s if gap_s <= STANDS_AFTER_S else 0.0),
            last_ns=sample.at_ns,
        )
        if sample.is_error or sample.score is None:
            return seen
        if baseline is not None and sample.settings != baseline.settings:
            return seen  # nobody knows how the one before would have done by these
        slow = baseline is not None and sample.latency_ms > limits.max_latency_ratio * baseline.latency_p99_ms
        return replace(
            seen,
            judged=self.judged + 1,
            rejects=self.rejects + sample.is_reject,
            slow=self.slow + slow,
            score_sum=self.score_sum + sample.score,
            score_squares=self.score_squares + sample.score**2,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`stable` is the end of a probation, as is `breach`; `words` say why, or how far it is."""

    what: Literal["goes_on", "stable", "breach"]
    words: str


def assess(trial: Trial, baseline: Baseline | None, limits: Probation) -> Standing:
    """How a bundle stands; without a baseline only its errors count."""
    looks = _looks(trial, baseline, limits)
    beyond = [words for doubt, words in looks if doubt == "beyond"]
    if beyond:
        return Standing(what="breach", words="; ".join(beyond))
    told = f"{trial.verdicts} of {limits.verdicts} verdicts, {trial.running_s:.0f} of {limits.seconds:.0f} s"
    if trial.verdicts < limits.verdicts or trial.running_s < limits.seconds:
        return Standing(what="goes_on", words=told)
    doubtful = [words for doubt, words in looks if doubt == "doubtful"]
    if not doubtful:
        return Standing(what="stable", words=told)
    if trial.verdicts >= PATIENCE * limits.verdicts:
        return Standing(what="breach", words="; ".join(doubtful))
    return Standing(what="goes_on", words=f"{told}; in doubt: {'; '.join(doubtful)}")


def otherwise(limits: Probation) -> Probation:
    """For what is meant to reject other parts than before: errors and latency alone count."""
    return limits.model_copy(update={"max_reject_shift": 1.0, "max_score_shift": math.inf})


def progress(trial: Trial, limits: Probation) -> float:
    """How much of it is over, 0 to 1."""
    return min(1.0, trial.verdicts / limits.verdicts, trial.running_s / limits.seconds)


def _looks(trial: Trial, baseline: Baseline | None, limits: Probation) -> list[tuple[Doubt, str]]:
    before = 0.0 if baseline is None else baseline.error_share
    looks = [
        (
            _above(trial.errors, trial.verdicts, before + limits.max_error_rise),
            f"errors in {trial.errors} of {trial.verdicts} verdicts, {before:.1%} before",
        )
    ]
    if baseline is None:
        return looks
    rejects, rise = baseline.reject_share, limits.max_reject_shift
    limit_ms = limits.max_latency_ratio * baseline.latency_p99_ms
    told = f"{trial.rejects} of {trial.judged} rejected, {rejects:.1%} before"
    looks += [
        (_above(trial.rejects, trial.judged, rejects + rise), told),
        (_above(trial.judged - trial.rejects, trial.judged, 1 - rejects + rise), told),
        (
            _above(trial.slow, trial.judged, SLOW_SHARE),
            f"{trial.slow} of {trial.judged} slower than {limit_ms:.1f} ms",
        ),
        _shift(trial, baseline, limits),
    ]
    return looks


def _above(count: int, of: int, limit: float) -> Doubt:
    """How a measured share stands to its limit, by Wilson's interval."""
    if of == 0 or limit >= 1 or count / of <= limit:
        return "within"
    share, z2 = count / of, _SIGMAS**2
    middle = share + z2 / (2 * of)
    half = _SIGMAS * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return "beyond" if (middle - half) / (1 + z2 / of) > limit else "doubtful"


def _shift(trial: Trial, baseline: Baseline, limits: Probation) -> tuple[Doubt, str]:
    if trial.judged == 0:
        return "within", ""
    mean = trial.score_sum / trial.judged
    told = f"the mean score is {mean:.1f}, {baseline.score_mean:.1f} before"
    shift = abs(mean - baseline.score_mean)
    if shift <= limits.max_score_shift:
        return "within", told
    variance = max(0.0, trial.score_squares / trial.judged - mean**2)
    surely = shift - _SIGMAS * math.sqrt(variance / trial.judged) > limits.max_score_shift
    return ("beyond" if surely and trial.judged >= FEWEST else "doubtful"), told
