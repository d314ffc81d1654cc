"""One bad answer is bad luck, several running are not; what is opened next is never worse than it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engines.engine import Answer, DeviceLost, EngineError, OutOfMemory
from agent.engines.failover import (
    LIMITS,
    Compile,
    Open,
    Outcome,
    Standing,
    StartOver,
    Streak,
    next_step,
    outcome_of_answer,
    outcome_of_error,
)

STANDINGS = st.lists(
    st.builds(lambda ready, failed: Standing(ready=ready, failed=failed), st.booleans(), st.booleans()),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize(("outcome", "limit"), [(one, n) for one, n in LIMITS.items()])
def test_an_engine_is_taken_down_at_the_limit_of_its_last_outcome(outcome: Outcome, limit: int) -> None:
    streak = Streak()
    for number in range(1, limit + 1):
        streak, over = streak.after(outcome)
        assert over == (number == limit)


@given(st.lists(st.sampled_from(["good", *LIMITS]), max_size=20))
def test_no_engine_falls_right_after_a_good_answer_or_before_its_limit(outcomes: list[Outcome]) -> None:
    streak, run = Streak(), 0
    for outcome in outcomes:
        streak, over = streak.after(outcome)
        run = 0 if outcome == "good" else run + 1
        assert over == (outcome != "good" and run >= LIMITS[outcome])


def test_errors_and_answers_are_told_apart() -> None:
    assert outcome_of_error(DeviceLost("x")) == "lost"
    assert outcome_of_error(OutOfMemory("x")) == "out_of_memory"
    assert outcome_of_error(EngineError("x")) == outcome_of_error(ValueError("x")) == "failed"
    maps = np.zeros((2, 1, 1), np.float32)
    for scores, outcome in (([0.1, 0.2], "good"), ([0.1, np.nan], "not_finite"), ([np.inf, 0], "not_finite")):
        answer = Answer(scores=np.array(scores, np.float32), maps=maps, restored=None)
        assert outcome_of_answer(answer) == outcome


def test_the_best_that_is_ready_serves_before_a_better_one_is_compiled() -> None:
    slow, quick = Standing(ready=False), Standing(ready=True)
    assert next_step([slow, slow, quick, quick], None) == Open(index=2)
    assert next_step([slow, slow, quick, quick], 2) == Compile(index=0)
    assert next_step([Standing(ready=True), slow, quick, quick], 2) == Open(index=0)
    failed = Standing(ready=False, failed=True)
    assert next_step([failed, slow, quick], 2) == Compile(index=1)
    assert next_step([failed, failed, quick], 2) is None
    assert next_step([slow, failed], None) == Compile(index=0)
    assert next_step([failed, failed], None) == StartOver()


@given(STANDINGS, st.data())
def test_a_step_never_names_a_failed_engine_nor_one_worse_than_what_serves(
    standings: list[Standing], data: st.DataObject
) -> None:
    serving = data.draw(st.one_of(st.none(), st.integers(0, len(standings) - 1)))
    step = next_step(standings, serving)
    if isinstance(step, Open | Compile):
        assert not standings[step.index].failed
        assert standings[step.index].ready == isinstance(step, Open)
        assert serving is None or step.index < serving
    elif isinstance(step, StartOver):
        assert serving is None and all(one.failed for one in standings)
    else:
        assert serving is not None
