"""Values of then and now: what counts as the same, and what is said where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from agent.messages import Defect as Found
from agent.messages import Judgement
from agent.replay.compare import overlap, rows_of, share_of
from agent.replay.document import Row
from agent.replay.told import Defect, FrameOf, ModelOf, Score, SettingsOf, Told

KEPT = np.full((4, 4), 0.25, np.float32)


def told(**changes: object) -> Told:
    base = Told(
        result_id="1",
        station="s",
        camera="top",
        created="",
        verdict="fail",
        reason=None,
        score=Score(raw=0.8, threshold=0.5),
        defects=(Defect(score=0.8, bbox_px=(10, 10, 20, 20), area_px=300),),
        frame=FrameOf(sha256="ab"),
        model=ModelOf(bundle="b", sha256="cd", engine="e"),
        settings=SettingsOf(sha256="ef"),
    )
    return base.model_copy(update=changes)


def judged(score: float = 0.8, *boxes: tuple[int, int, int, int]) -> Judgement:
    found = tuple(
        Found(score=score, bbox_px=box, area_px=300, centroid_px=(0.0, 0.0))
        for box in boxes or ((10, 10, 20, 20),)
    )
    return Judgement(verdict="fail", reason=None, score=score, threshold=0.5, defects=found)


def rows(then: Told, now: Judgement, *, allowed: float = 1e-6, shift: float = 0.0) -> dict[str, Row]:
    evidence = KEPT + np.float32(shift)
    found = rows_of(then, now, kept=KEPT, evidence=evidence, allowed=allowed)
    return {one.what: one for one in found}


def test_differences_are_shares_of_the_threshold_or_of_a_score_above_it() -> None:
    assert share_of(0.1, 0.2, 0.5) == pytest.approx(0.2)
    assert share_of(5.0, 4.5, 0.5) == pytest.approx(0.1)


def test_equal_ones_are_the_same_in_every_row() -> None:
    assert all(one.is_same for one in rows(told(), judged()).values())


def test_a_score_off_by_more_than_is_allowed_differs_by_so_much() -> None:
    row = rows(told(), judged(0.8001))["score"]
    assert not row.is_same and row.difference == pytest.approx(1.25e-4, rel=0.01)
    assert rows(told(), judged(0.8001), allowed=0.002)["score"].is_same


def test_maps_are_compared_as_exactly_as_they_are_kept() -> None:
    assert rows(told(), judged(), shift=2e-4)["map: worst cell"].is_same
    assert not rows(told(), judged(), shift=2e-2)["map: worst cell"].is_same


def test_boxes_are_equal_on_the_same_engine_and_overlap_on_another_one() -> None:
    moved = judged(0.8, (12, 10, 20, 20))
    assert not rows(told(), moved)["defect 0"].is_same
    assert rows(told(), moved, allowed=0.002)["defect 0"].is_same
    assert not rows(told(), judged(0.8, (25, 25, 20, 20)), allowed=0.002)["defect 0"].is_same


def test_a_defect_that_is_gone_and_one_that_is_new_are_rows_of_their_own() -> None:
    gone = rows(told(), judged(0.8, (100, 100, 5, 5)))
    assert gone["defect 0"].now is None and gone["defect"].then is None


def test_defects_over_windows_are_not_compared_with_those_of_one() -> None:
    assert "defect 0" not in rows(told(continued_from_line=64), judged())


def test_a_score_that_is_no_number_now_differs() -> None:
    row = rows(told(), judged(float("nan")))["score"]
    assert (row.now, row.is_same) == (None, False)


def test_boxes_share_the_part_of_both_that_they_cover() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 10, 10)) == 0
