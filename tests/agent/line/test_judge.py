"""Only a finite score below the threshold on a frame that was seen in full is ever a pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.judge import Rules, find_defects, judge
from agent.messages import Floats, Frame, Inspection, Judgement
from tests.fakes import frame, good_picture

RULES = Rules(threshold=0.5, scale=1.0, stride_px=4, min_area_px=32, max_invalid_ratio=0.02)
LINES = 100


def seen(lost: int = 0, lines: int = LINES) -> Frame:
    """A frame of which the first `lost` lines were filled in."""
    image = good_picture(lines, 80)
    if not lost:
        return frame(0, image)
    return replace(frame(0, image), valid=np.arange(lines) >= lost, lines_lost=lost)


def found(score: float, evidence: Floats | None = None) -> Inspection:
    """What an engine says: one tile's score and a quiet map, or the given one."""
    quiet = np.full((LINES // 4, 20), 0.1, np.float32)
    return Inspection(
        scores=np.array([0.0, score], np.float32),
        evidence=quiet if evidence is None else evidence,
        restored=good_picture(LINES, 80),
        started_ns=0,
        finished_ns=1,
    )


def spotted(*cells: tuple[int, int, float]) -> Floats:
    """A quiet map with values at row, column."""
    evidence = np.full((LINES // 4, 20), 0.1, np.float32)
    for row, column, value in cells:
        evidence[row, column] = value
    return evidence


def decided(judgement: Judgement) -> tuple[str, str | None]:
    return judgement.verdict, judgement.reason


def test_a_score_below_the_threshold_passes_and_names_no_defect() -> None:
    judgement = judge(seen(), found(0.4), RULES)
    assert decided(judgement) == ("pass", None)
    assert judgement.score == pytest.approx(0.4) and judgement.defects == ()


def test_the_worst_tile_decides() -> None:
    inspection = replace(found(0.4), scores=np.array([0.1, 0.9, 0.2], np.float32))
    judgement = judge(seen(), inspection, RULES)
    assert decided(judgement) == ("fail", None) and judgement.score == pytest.approx(0.9)


@given(st.floats(1e-6, 1e6))
def test_a_score_at_the_threshold_fails_and_the_next_float_below_passes(threshold: float) -> None:
    rules = replace(RULES, threshold=threshold)
    tie = np.float32(threshold)
    assert decided(judge(seen(), found(float(tie)), rules)) == ("fail", None)
    below = np.nextafter(tie, np.float32(0))
    assert decided(judge(seen(), found(float(below)), rules)) == ("pass", None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_undecided(value: float) -> None:
    assert decided(judge(seen(), found(value), RULES)) == ("undecided", "not_finite")


def test_a_score_that_is_no_number_is_not_hidden_by_another_tile() -> None:
    inspection = replace(found(0.4), scores=np.array([np.nan, 0.9], np.float32))
    assert decided(judge(seen(), inspection, RULES)) == ("undecided", "not_finite")


@pytest.mark.parametrize("threshold", [np.nan, np.inf, 1e60])
def test_a_threshold_that_float32_cannot_hold_decides_nothing(threshold: float) -> None:
    rules = replace(RULES, threshold=threshold)
    assert decided(judge(seen(), found(0.1), rules)) == ("undecided", "not_finite")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("score", [0.1, 0.9])
def test_a_map_that_is_no_number_anywhere_is_undecided(value: float, score: float) -> None:
    assert decided(judge(seen(), found(score, spotted((3, 3, value))), RULES)) == ("undecided", "not_finite")


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_more_lost_lines_than_allowed_are_undecided_whatever_the_score(score: float) -> None:
    judgement = judge(seen(lost=3), found(score), RULES)
    assert decided(judgement) == ("undecided", "lost_lines")
    assert judgement.score == pytest.approx(score) and judgement.defects == ()


def test_as_many_lost_lines_as_allowed_are_judged() -> None:
    assert decided(judge(seen(lost=1), found(0.1), RULES)) == ("pass", None)
    assert decided(judge(seen(lost=1), found(0.9), RULES)) == ("fail", None)


def test_a_defect_lies_where_the_map_is_hot_in_pixels_of_the_frame() -> None:
    (defect,) = judge(seen(), found(0.9, spotted((5, 7, 0.9), (5, 8, 0.6))), RULES).defects
    assert defect.bbox_px == (28, 20, 8, 4)
    assert (defect.area_px, defect.score) == (32, pytest.approx(0.9))


@pytest.mark.parametrize(("score", "row", "column"), [(0.4, 5, 7), (0.9, 24, 19)])
def test_the_peak_is_the_middle_of_the_hottest_cell_whatever_the_verdict(
    score: float, row: int, column: int
) -> None:
    judgement = judge(seen(), found(score, spotted((row, column, score))), RULES)
    assert judgement.peak_px == (4 * column + 2, 4 * row + 2)


def test_small_defects_are_left_out_beside_a_large_one() -> None:
    evidence = spotted((5, 7, 0.6), (5, 8, 0.6), (20, 2, 0.9))
    assert [one.bbox_px for one in judge(seen(), found(0.9, evidence), RULES).defects] == [(28, 20, 8, 4)]


def test_a_failed_frame_names_its_small_defects_when_it_has_no_other() -> None:
    evidence = spotted((20, 2, 0.9), (2, 2, 0.7))
    defects = judge(seen(), found(0.9, evidence), RULES).defects
    assert [one.bbox_px for one in defects] == [(8, 80, 4, 4), (8, 8, 4, 4)]


def maps_of(shape: tuple[int, int]) -> st.SearchStrategy[Floats]:
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).random(shape, np.float32) ** 4
    )


@given(
    lines=st.integers(1, 90),
    width=st.integers(1, 90),
    scale=st.sampled_from([0.2133, 0.5, 1.0, 3.0]),
    data=st.data(),
)
def test_defects_are_inside_the_frame_and_strongest_first(
    lines: int, width: int, scale: float, data: st.DataObject
) -> None:
    cells = tuple(-(-max(1, round(side * scale)) // 4) for side in (lines, width))
    evidence = data.draw(maps_of((cells[0], cells[1])))
    defects = find_defects(
        frame(0, good_picture(lines, width)), found(0.9, evidence), replace(RULES, scale=scale)
    )
    for defect in defects:
        x, y, wide, high = defect.bbox_px
        assert 0 <= x < x + wide <= width and 0 <= y < y + high <= lines
        assert 1 <= defect.area_px <= wide * high
        assert x <= defect.centroid_px[0] < x + wide and y <= defect.centroid_px[1] < y + high
    scores = [defect.score for defect in defects]
    assert scores == sorted(scores, reverse=True)


@given(st.integers(1, 4096), st.data())
def test_exactly_the_allowed_share_of_lost_lines_is_still_judged(lines: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, lines))
    valid = np.arange(lines) >= lost
    one = replace(frame(0, good_picture(lines, 4)), valid=valid, lines_lost=lost)
    allowed = replace(RULES, max_invalid_ratio=lost / lines)
    assert decided(judge(one, found(0.1), allowed)) == ("pass", None)


def test_lines_that_are_lost_without_a_place_count_as_well() -> None:
    one = replace(seen(), lines_lost=3)
    assert decided(judge(one, found(0.1), RULES)) == ("undecided", "lost_lines")
    assert decided(judge(replace(one, lines_lost=2), found(0.1), RULES)) == ("pass", None)


@given(st.floats(1e-6, 1e6), st.integers(-2, 2))
def test_who_compares_the_published_score_and_threshold_comes_to_the_same_verdict(
    threshold: float, ulps: int
) -> None:
    score = np.float32(threshold) + ulps * np.spacing(np.float32(threshold))
    judgement = judge(seen(), found(float(score)), replace(RULES, threshold=threshold))
    assert (judgement.verdict == "fail") == (judgement.score >= judgement.threshold)
    assert (judgement.verdict == "fail") == (100 * judgement.score / judgement.threshold >= 100)


def test_a_failed_frame_names_its_strongest_spot_even_when_the_map_stays_below() -> None:
    """Rounding, or the repeated border of a small frame, can lift the score above the map."""
    judgement = judge(seen(), found(0.6, spotted((5, 7, 0.49))), RULES)
    assert judgement.verdict == "fail"
    assert [one.bbox_px for one in judgement.defects] == [(28, 20, 4, 4)]


@given(
    score=st.floats(width=32, allow_nan=True),
    hot=st.floats(width=32),
    lost=st.integers(0, LINES),
    allowed=st.floats(0, 1),
    threshold=st.one_of(st.floats(1e-6, 1e6), st.sampled_from([np.inf, np.nan, 1e60])),
)
def test_a_pass_means_that_nothing_was_wrong(
    score: float, hot: float, lost: int, allowed: float, threshold: float
) -> None:
    rules = replace(RULES, threshold=threshold, max_invalid_ratio=allowed)
    judgement = judge(seen(lost), found(score, spotted((5, 7, hot))), rules)
    wrong = [
        not np.isfinite([score, hot]).all(),
        not np.isfinite(judgement.threshold),
        lost / LINES > allowed,
        not max(score, 0.0) < judgement.threshold,
    ]
    assert (judgement.verdict == "pass") == (not any(wrong))
    assert (judgement.verdict == "fail") <= bool(judgement.defects)
    assert judgement.verdict == "fail" or judgement.defects == ()
    assert (judgement.reason is None) == (judgement.verdict in ("pass", "fail"))


def test_a_precision_with_a_threshold_of_its_own_is_judged_by_it() -> None:
    rules = replace(RULES, calibrated={"bf16": 0.7})
    between = found(0.6, spotted((5, 5, 0.6)))
    assert judge(seen(), between, rules).verdict == "fail"
    assert judge(seen(), replace(between, precision="tf32"), rules).verdict == "fail"
    judgement = judge(seen(), replace(between, precision="bf16"), rules)
    assert (judgement.verdict, judgement.threshold) == ("pass", pytest.approx(0.7))
