"""A bundle is measured against the one before it: surely worse it goes back, in doubt it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.remote.rollout.baseline import Baseline, Sample, baseline_of, sample_of
from agent.remote.rollout.probation import PATIENCE, STANDS_AFTER_S, Trial, assess, progress
from agent.schemas import examples
from agent.settings.remote import Probation

LIMITS = Probation(verdicts=100, seconds=60.0)
BEFORE = Baseline(
    settings="s", verdicts=500, error_share=0.0, reject_share=0.02, latency_p99_ms=50.0, score_mean=40.0
)


def sample(at_s: float = 0.0, **more: object) -> Sample:
    plain = Sample(
        bundle="new",
        settings="s",
        at_ns=round(at_s * 1e9),
        is_error=False,
        is_reject=False,
        latency_ms=20.0,
        score=40.0,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def trial(
    count: int,
    *,
    of: Baseline | None = BEFORE,
    limits: Probation = LIMITS,
    every_s: float = 1.0,
    **shares: int,
) -> Trial:
    """With so many of each kind among them, evenly spread."""
    found = Trial()
    for number in range(count):
        more: dict[str, object] = {}
        for kind, number_of in shares.items():
            if number * number_of // count != (number + 1) * number_of // count:
                more |= {
                    "errors": {"is_error": True, "score": None},
                    "rejects": {"is_reject": True},
                    "slow": {"latency_ms": 500.0},
                }[kind]
        found = found.after(sample(number * every_s, **more), of, limits)
    return found


def test_it_ends_after_enough_verdicts_and_enough_time_alone() -> None:
    assert assess(trial(99), BEFORE, LIMITS).what == "goes_on"
    assert assess(trial(100), BEFORE, LIMITS).what == "stable"
    assert assess(trial(100, every_s=0.1), BEFORE, LIMITS).what == "goes_on"
    assert progress(trial(100, every_s=0.1), LIMITS) == pytest.approx(9.9 / 60)


def test_time_does_not_run_while_the_line_stands() -> None:
    stood = Trial().after(sample(0), BEFORE, LIMITS).after(sample(STANDS_AFTER_S + 1), BEFORE, LIMITS)
    assert stood.running_s == 0
    assert stood.after(sample(STANDS_AFTER_S + 31), BEFORE, LIMITS).running_s == 30


@pytest.mark.parametrize(
    ("count", "shares", "what"),
    [
        (5, {"errors": 5}, "breach"),  # at once
        (100, {"errors": 2}, "stable"),
        (100, {"errors": 5}, "goes_on"),  # in doubt
        (300, {"errors": 15}, "breach"),  # and it stays in doubt
        (100, {"rejects": 10}, "stable"),
        (100, {"rejects": 40}, "breach"),
        (100, {"slow": 4}, "stable"),
        (100, {"slow": 30}, "breach"),
    ],
)
def test_shares_are_held_to_their_limits(count: int, shares: dict[str, int], what: str) -> None:
    assert assess(trial(count, **shares), BEFORE, LIMITS).what == what


def test_what_was_wrong_before_condemns_nobody() -> None:
    bad = replace(BEFORE, error_share=0.3, reject_share=0.5, latency_p99_ms=400.0)
    assert assess(trial(100, of=bad, errors=30, rejects=50, slow=50), bad, LIMITS).what == "stable"


def test_a_bundle_that_finds_nothing_any_more_goes_back_too() -> None:
    busy = replace(BEFORE, reject_share=0.5)
    found = assess(trial(100, of=busy), busy, LIMITS)
    assert found.what == "breach" and "0 of 100 rejected, 50.0% before" in found.words


@pytest.mark.parametrize(("score", "what"), [(65.0, "stable"), (75.0, "breach"), (5.0, "breach")])
def test_the_score_may_shift_so_far(score: float, what: str) -> None:
    found = Trial()
    for number in range(100):
        found = found.after(sample(number, score=score), BEFORE, LIMITS)
    assert assess(found, BEFORE, LIMITS).what == what


def test_without_a_baseline_errors_alone_count() -> None:
    assert assess(trial(100, of=None, rejects=90, slow=100), None, LIMITS).what == "stable"
    assert assess(trial(100, of=None, errors=50), None, LIMITS).what == "breach"


def test_verdicts_by_other_settings_say_nothing_but_their_errors() -> None:
    found = Trial()
    for number in range(100):
        found = found.after(sample(number, settings="other", is_reject=True), BEFORE, LIMITS)
    assert (found.verdicts, found.judged) == (100, 0)
    assert assess(found, BEFORE, LIMITS).what == "stable"
    wrong = [sample(number, settings="other", is_error=True) for number in range(30)]
    for one in wrong:
        found = found.after(one, BEFORE, LIMITS)
    assert assess(found, BEFORE, LIMITS).what == "breach"


def test_a_baseline_is_of_the_newest_settings_alone() -> None:
    before = [sample(settings="old", is_reject=True)] * 500
    assert baseline_of([*before, *[sample()] * 30]).reject_share == 0  # type: ignore[union-attr]
    assert baseline_of([*before, sample()]) is None


def test_a_baseline_wants_verdicts() -> None:
    assert baseline_of([sample()] * 19) is None
    assert baseline_of([sample(is_error=True, score=None)] * 500) is None
    found = baseline_of([sample(latency_ms=float(number)) for number in range(1, 101)])
    assert found is not None
    assert (found.latency_p99_ms, found.reject_share, found.score_mean) == (99.0, 0.0, 40.0)


@pytest.mark.parametrize(
    ("verdict", "reason", "counts"),
    [
        ("pass", None, True),
        ("fail", None, True),
        ("undecided", "engine_error", True),
        ("skipped", "overload", True),
        ("skipped", "camera_error", False),
        ("undecided", "lost_lines", False),
        ("skipped", "stopped", False),
    ],
)
def test_a_record_counts_where_the_bundle_answers_for_it(
    verdict: str, reason: str | None, counts: bool
) -> None:
    record = examples.verdict().model_copy(update={"verdict": verdict, "reason": reason})
    found = sample_of(record, 5)
    assert (found is not None) == counts
    if found is not None:
        assert (found.is_error, found.is_reject) == (reason is not None, verdict == "fail")


@given(st.integers(0, 300), st.integers(0, 300), st.booleans())
def test_every_probation_of_a_line_that_runs_comes_to_an_end(errors: int, rejects: int, known: bool) -> None:
    before = BEFORE if known else None
    count = PATIENCE * LIMITS.verdicts
    found = assess(trial(count, of=before, errors=errors, rejects=rejects), before, LIMITS)
    assert found.what in ("stable", "breach")
