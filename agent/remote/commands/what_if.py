"""What another threshold would have made of results that are kept: pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from agent.archive.entry import Head

BINS = 40
NAMED = 50  # results of each kind that are named, the nearest to the threshold first


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """Results by what they are now and what they would have been; undecided ones stay what they are."""

    threshold: float
    results: int
    rejects_now: int
    rejects_then: int
    rejected: tuple[str, ...]  # passes that would have been rejected, by result_id
    passed: tuple[str, ...]  # rejects that would have passed
    missed: tuple[str, ...]  # rejects that people confirmed, and that would have passed
    caught: tuple[str, ...]  # defects that people say were missed, and that would have been rejected
    spared: tuple[str, ...]  # false alarms, as people say, that would have passed
    oldest: str | None  # created
    newest: str | None


def what_if(heads: Sequence[Head], threshold: float) -> WhatIf:
    """Compared as the judge does, in float32: at or above the threshold a frame fails."""
    level = np.float32(threshold)
    decided = [one for one in heads if one.verdict in ("pass", "fail") and _is_number(one.score)]
    ordered = sorted(decided, key=lambda one: abs((one.score or 0.0) - threshold))
    fails = {one.id: bool(np.float32(one.score or 0.0) >= level) for one in ordered}
    rejected = [one for one in ordered if one.verdict == "pass" and fails[one.id]]
    passed = [one for one in ordered if one.verdict == "fail" and not fails[one.id]]
    times = [one.created for one in decided]
    return WhatIf(
        threshold=threshold,
        results=len(decided),
        rejects_now=sum(one.verdict == "fail" for one in decided),
        rejects_then=sum(fails.values()),
        rejected=tuple(one.id for one in rejected),
        passed=tuple(one.id for one in passed),
        missed=tuple(one.id for one in passed if _word(one) == "confirmed"),
        caught=tuple(one.id for one in rejected if _word(one) == "missed_defect"),
        spared=tuple(one.id for one in passed if _word(one) == "false_alarm"),
        oldest=min(times, default=None),
        newest=max(times, default=None),
    )


def histogram(scores: Sequence[float]) -> dict[str, JsonValue]:
    """Counts of scores between edges of equal ratio, as scores have a long tail; no edges where none are."""
    good = np.array([one for one in scores if math.isfinite(one)], np.float64)
    if not len(good):
        return {"edges": [], "counts": []}
    low, high = max(float(good.min()), 1e-6), max(float(good.max()), 2e-6)
    edges = np.geomspace(low, max(high, low * 1.01), BINS + 1)
    counts, _ = np.histogram(np.clip(good, edges[0], edges[-1]), edges)
    return {"edges": [float(f"{one:.6g}") for one in edges], "counts": [int(one) for one in counts]}


def data(found: WhatIf) -> dict[str, JsonValue]:
    """For an answer: counts, and the results of each kind as far as they are named."""
    named: dict[str, JsonValue] = {
        name: {"count": len(ids), "ids": list(ids[:NAMED])}
        for name, ids in (
            ("rejected", found.rejected),
            ("passed", found.passed),
            ("missed", found.missed),
            ("caught", found.caught),
            ("spared", found.spared),
        )
    }
    return {
        "threshold": found.threshold,
        "results": found.results,
        "rejects_now": found.rejects_now,
        "rejects_then": found.rejects_then,
        **named,
        "oldest": found.oldest,
        "newest": found.newest,
    }


def words(found: WhatIf, pass_share: float = 1.0) -> list[str]:
    """What a person should know before anything is changed, one sentence each.

    `pass_share` is how many of the parts that pass are stored, beside all that fail.
    """
    if not found.results:
        return ["no stored result was decided by the bundle in force, so nothing can be said of before"]
    rejected, passed, since = len(found.rejected), len(found.passed), found.oldest
    said = [f"of {found.results} stored results since {since} it would reject {found.rejects_then}"]
    said[0] += f" in place of {found.rejects_now}: {rejected} that passed would be rejected, "
    said[0] += f"{passed} that were rejected would pass"
    if pass_share < 1:
        said.append(
            f"{pass_share:.3g} of the parts that pass are stored, and all that fail: counts, no rates"
        )
    if found.missed:
        said.append(f"{len(found.missed)} of those that would pass are confirmed defects")
    if found.spared:
        said.append(f"{len(found.spared)} of those that would pass were marked as false alarms")
    if found.caught:
        said.append(f"{len(found.caught)} of those that would be rejected were marked as missed")
    return said


def _is_number(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _word(head: Head) -> str | None:
    return None if head.mark is None else head.mark.word
