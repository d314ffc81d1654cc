"""The time is estimated before anything is computed, and the largest that fits it is taken."""

from __future__ import annotations

import pytest

from models.teaching.plan import (
    FEWEST,
    METHOD,
    MOST,
    REFERENCE_GFLOPS,
    STUDENT_SHARE,
    TEACHER_S,
    PlanError,
    plan,
    resized,
    speed,
)


def test_the_largest_that_fits_the_time_is_taken() -> None:
    assert plan(None, 10, REFERENCE_GFLOPS).preset == "nano"
    long = plan(None, 600, REFERENCE_GFLOPS)
    assert long.preset == "edge" and long.seconds <= 600 * 60
    assert plan("nano", 600, REFERENCE_GFLOPS).teacher_images <= MOST["nano"]


@pytest.mark.parametrize("minutes", [5, 10, 30, 240])
def test_the_estimate_never_exceeds_the_time(minutes: float) -> None:
    made = plan(None, minutes, REFERENCE_GFLOPS)
    assert made.seconds <= 60 * minutes
    assert made.teacher_images + made.student_images >= FEWEST[made.preset]


def test_a_slower_machine_takes_longer_for_the_same() -> None:
    quick, slow = (plan("nano", 240, gflops) for gflops in (REFERENCE_GFLOPS, REFERENCE_GFLOPS / 4))
    assert slow.seconds == pytest.approx(4 * quick.seconds, rel=0.1)


def test_too_short_a_time_is_refused_with_what_it_takes() -> None:
    with pytest.raises(PlanError, match=r"--minutes 1: nano takes \d+ minutes here at least"):
        plan(None, 1, REFERENCE_GFLOPS)


def test_the_student_gets_what_time_is_left_after_the_teacher() -> None:
    each = TEACHER_S["nano"]
    assert resized("nano", 3, 60, each) > resized("nano", 3, 60, 2 * each)
    assert resized("nano", 30, 10_000, each) == round(STUDENT_SHARE * FEWEST["nano"])


def test_the_machine_is_measured_at_once() -> None:
    assert speed() > 0.1 and METHOD in ("decodiff", "glad")
