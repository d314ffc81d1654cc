"""Whether what was found is enough, by the settings alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.remote.proof.document import Flips, Found, Frames, Golden, Shift, Side
from agent.remote.proof.limits import allowed_flips, flips_of, refusal, shift, shift_of
from agent.settings.remote import Proof

SCORES = st.floats(min_value=0, max_value=1e6)


def found(*, judged: int = 200, flips: Flips | None = None, median: float = 0.0, bias: float = 0.0) -> Found:
    return Found(
        candidate=Side(name="cells", sha256="ab" * 32, engine="fake-f32"),
        incumbent=Side(name="cells", sha256="cd" * 32, engine="fake-f32"),
        golden=Golden(worst_tile_delta=0.001, tolerance=0.02),
        frames=Frames(wanted=200, judged=judged, passes=judged),
        flips=flips or Flips(),
        shift=Shift(median=median, worst=median, bias=bias),
    )


def test_within_all_limits_nothing_is_refused() -> None:
    assert refusal(found(flips=Flips(to_fail=1, to_pass=1), median=20.0), Proof()) is None


@pytest.mark.parametrize("way", ["to_fail", "to_pass", "to_undecided"])
def test_a_flip_is_a_flip_whichever_way_it_goes(way: str) -> None:
    words = refusal(found(flips=Flips(**{way: 3})), Proof())
    assert words is not None and "3 of 200 verdicts flip" in words and "2 may by" in words
    assert f"3 {way.replace('_', ' ')}" in words


def test_few_frames_allow_no_flip() -> None:
    assert [allowed_flips(judged, Proof()) for judged in (0, 50, 99, 100, 200)] == [0, 0, 0, 1, 2]
    assert allowed_flips(7, Proof(max_flip_share=1)) == 7
    assert refusal(found(judged=50, flips=Flips(to_fail=1)), Proof()) is not None


def test_too_few_frames_are_enough_only_where_the_settings_say_so() -> None:
    assert refusal(found(judged=0), Proof()) is None
    words = refusal(found(judged=3), Proof(min_frames=4))
    assert words is not None and "3 frames of the archive could be judged" in words


def test_scores_that_shift_are_refused_though_no_verdict_flips_and_the_direction_is_told() -> None:
    up, down = (refusal(found(median=21.0, bias=bias), Proof()) for bias in (21.0, -21.0))
    assert up is not None and "shift by 21.0 % of the threshold (up" in up
    assert down is not None and "(down" in down


def test_every_reason_is_told() -> None:
    words = refusal(found(judged=10, flips=Flips(to_pass=4), median=50.0), Proof(min_frames=20))
    assert words is not None
    assert [part in words for part in ("min_frames", "max_flip_share", "max_score_shift")] == [True] * 3


def test_what_the_incumbent_could_not_decide_is_no_flip() -> None:
    pairs = [("undecided", "fail"), ("undecided", "undecided"), ("pass", "pass"), ("fail", "undecided")]
    assert flips_of(pairs) == Flips(to_undecided=1)  # type: ignore[arg-type]


@given(SCORES, SCORES)
def test_a_shift_is_bounded_and_turns_round_with_its_sides(incumbent: float, candidate: float) -> None:
    there, back = shift(incumbent, candidate), shift(candidate, incumbent)
    assert -100 <= there <= 100
    assert there == -back


@given(st.lists(st.floats(min_value=20, max_value=1e5), min_size=1), st.floats(min_value=2, max_value=100))
def test_a_threshold_that_was_moved_alone_cannot_hide(scores: list[float], factor: float) -> None:
    """The raw scores are the same; each is another part of the threshold."""
    for one in ([score / factor for score in scores], [score * factor for score in scores]):
        told = shift_of([shift(before, after) for before, after in zip(scores, one, strict=True)])
        assert told is not None and told.median >= 10 - 1e-3


def test_scores_and_threshold_that_grow_together_are_no_shift() -> None:
    assert shift_of([shift(100 * raw / 0.5, 100 * (3 * raw) / 1.5) for raw in (0.1, 0.4, 2.0)]) == Shift(
        median=0, worst=0, bias=0
    )


def test_a_reject_far_above_the_threshold_weighs_no_more_than_one_near_it() -> None:
    assert shift(5000.0, 4000.0) == -20.0
    assert shift(100.0, 80.0) == -20.0
    assert shift(10.0, 30.0) == 20.0
