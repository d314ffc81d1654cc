"""Memory that grows is told, and what a hazard takes for its while is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.soak.day import swollen
from tests.soak.flat import growths
from tests.soak.watch import Sample

DAY_S = 1000.0


def life(
    number: int, begins_s: int, ends_s: int, rss_mb: Callable[[int], float], threads: int = 40
) -> list[Sample]:
    return [
        Sample(at_s=float(at_s), life=number, rss_mb=rss_mb(at_s - begins_s), threads=threads, handles=60)
        for at_s in range(begins_s, ends_s)
    ]


def told(samples: list[Sample]) -> list[str]:
    return [words for one in growths(samples, day_s=DAY_S) for words in swollen(one)]


def test_a_start_and_what_is_taken_for_a_while_are_no_growth() -> None:
    def rss_mb(age_s: int) -> float:
        return 100 if age_s < 30 else 260 if 600 <= age_s < 640 else 200

    assert told(life(0, 0, 800, rss_mb)) == []


def test_a_slow_leak_is_told_with_what_it_took() -> None:
    (words,) = told(life(0, 0, 800, lambda age_s: 200 + 0.03 * age_s))
    assert words == "life 1: memory grew from 209.0 to 221.0 MB"


@pytest.mark.parametrize(("more", "is_told"), [(1.049, False), (1.051, True)])
def test_five_in_a_hundred_is_the_most(more: float, is_told: bool) -> None:
    assert bool(told(life(0, 0, 800, lambda age_s: 200 * (more if age_s > 560 else 1)))) == is_told


def test_threads_that_are_left_behind_are_told() -> None:
    samples = life(0, 0, 800, lambda _: 200)
    more = [*samples[:600], *life(0, 0, 800, lambda _: 200, threads=43)[600:]]
    assert told(more) == ["life 1: threads grew from 40 to 43"]


def test_lives_are_told_apart_and_short_ones_are_not_judged() -> None:
    samples = [
        *life(0, 0, 200, lambda age_s: 200 + age_s),
        *life(1, 200, 700, lambda _: 200),
        *life(2, 700, 1000, lambda age_s: 200 + age_s),
    ]
    found = growths(samples, day_s=DAY_S)
    assert [one.life for one in found] == [1, 2]
    assert [bool(swollen(one)) for one in found] == [False, True]
