"""One bar goes from nothing to all, and never back."""

from __future__ import annotations

import pytest

from models.teaching.progress import Whole, said_by


def test_phases_make_the_whole_and_long_stages_move_it() -> None:
    seen: list[tuple[float, str]] = []
    whole = Whole(lambda share, words: seen.append((share, words)))
    for share in (0.25, 0.75):
        with whole.phase(share):
            with whole.stage("reading", 10) as step:
                step("")
            with whole.stage("training decodiff", 4) as step:
                for _ in range(4):
                    step("")
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert (0.25 * 0.9 * 0.5, "training decodiff") in seen


def test_a_stage_that_goes_on_begins_where_it_was() -> None:
    seen: list[float] = []
    whole = Whole(lambda share, words: seen.append(share))
    with whole.phase(1.0), whole.stage("training x", 10, 5) as step:
        step("")
    assert seen[1] == 0.9 * 0.6


def test_a_program_is_told_what_remains_by_the_plan_and_then_by_the_pace_of_this_run() -> None:
    now, said = [0.0], []
    whole = said_by(said.append, lambda: now[0], 100.0)
    whole.skip(0.5)  # an earlier run's, in no time
    with whole.phase(0.5), whole.stage("training the student", 10) as step:
        assert said[-1] == {"kind": "far", "share": 0.5, "words": "", "left_s": 50.0}
        for _ in range(5):
            now[0] += 20
            step("")
    assert [one["share"] for one in said[1:]] == pytest.approx([0.545, 0.59, 0.635, 0.68, 0.725])
    assert said[-1]["left_s"] == pytest.approx(100 * 0.275 / 0.225, rel=0.01), "two times as slow as planned"


def test_a_program_is_told_once_a_second_at_most() -> None:
    now, said = [0.0], []
    whole = said_by(said.append, lambda: now[0], 100.0)
    with whole.phase(1.0), whole.stage("training the student", 1000) as step:
        for _ in range(1000):
            now[0] += 0.01
            step("")
    assert 9 <= len(said) <= 12
