"""What a record says of the health of the bundle that judged, and the health of one before another comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.contract.verdict import Verdict

# What the bundle or its engine may have done; a camera that fails says nothing of either.
ERRORS = frozenset({"engine_error", "not_finite", "overload", "no_model"})
FEWEST = 20  # verdicts that say anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One record, as far as the bundle answers for it."""

    bundle: str  # its digest
    settings: str  # those that it was judged by: their digest
    at_ns: int  # monotonic clock
    is_error: bool
    is_reject: bool
    latency_ms: float  # of engine and judge: a frame that waits in the ring waits for the machine
    score: float | None  # 100 is the threshold; None where nothing was judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The health of the bundle before, over its last verdicts."""

    settings: str  # by which they were judged; others move scores and rejects, whatever the bundle does
    verdicts: int
    error_share: float
    reject_share: float  # of the verdicts that are a decision
    latency_p99_ms: float
    score_mean: float
    heard: tuple[str, ...] = ()  # cameras that gave frames; said of settings, which may change them


def sample_of(verdict: Verdict, at_ns: int) -> Sample | None:
    """None for a record that says nothing of the bundle, such as that of a camera without a picture."""
    is_error = verdict.reason in ERRORS
    if not is_error and verdict.verdict not in ("pass", "fail"):
        return None
    return Sample(
        bundle=verdict.model.sha256,
        settings=verdict.settings.sha256,
        at_ns=at_ns,
        is_error=is_error,
        is_reject=verdict.verdict == "fail",
        latency_ms=(verdict.timing_ms.infer or 0.0) + (verdict.timing_ms.judge or 0.0),
        score=None if verdict.score is None else bounded(verdict.score.normalized),
    )


def bounded(score: float) -> float:
    """Far above the threshold it says no more than just above it."""
    return min(max(score, 0.0), 200.0)


def baseline_of(samples: Sequence[Sample]) -> Baseline | None:
    """Of the last ones, by the newest one's settings; None where there are too few to compare with."""
    samples = [one for one in samples if one.settings == samples[-1].settings]
    judged = [one for one in samples if not one.is_error and one.score is not None]
    if len(judged) < FEWEST:
        return None
    latencies = sorted(one.latency_ms for one in judged)
    return Baseline(
        settings=samples[-1].settings,
        verdicts=len(samples),
        error_share=sum(one.is_error for one in samples) / len(samples),
        reject_share=sum(one.is_reject for one in judged) / len(judged),
        latency_p99_ms=latencies[-(-len(latencies) * 99 // 100) - 1],
        score_mean=sum(one.score or 0.0 for one in judged) / len(judged),
    )
