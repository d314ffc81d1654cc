"""A day's hazards are the same for the same seed, all of them come, and one life is left long."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.soak.hazards import DO
from tests.soak.plan import A_DAY, DEATHS, DISK, KINDS, LASTS_S, LONG_LIFE, a_day, each_once

SEEDS = st.integers(0, 10_000)


def test_every_kind_is_in_a_day_and_can_be_done() -> None:
    assert set(A_DAY) == set(KINDS) == set(DO)
    assert min(A_DAY.values()) >= 2


@given(seed=SEEDS, hours=st.floats(0.5, 48))
def test_a_day_has_all_of_them_in_order_and_none_outside(seed: int, hours: float) -> None:
    day = a_day(seed, hours=hours)
    assert Counter(one.kind for one in day) == A_DAY
    moments = [one.at_h for one in day]
    assert moments == sorted(moments) and moments[0] > 0 and moments[-1] < 0.95 * hours
    assert all(LASTS_S[0] <= one.lasts_s <= LASTS_S[1] for one in day)
    for kind in KINDS:
        assert [one.nth for one in day if one.kind == kind] == list(range(A_DAY[kind]))
    assert day == a_day(seed, hours=hours)


@given(seed=SEEDS)
def test_the_agent_does_not_die_in_its_long_life(seed: int) -> None:
    deaths = [one.at_h / 24 for one in a_day(seed, hours=24) if one.kind in DEATHS]
    assert len(deaths) == sum(A_DAY[kind] for kind in DEATHS)
    assert not any(LONG_LIFE[0] <= one < LONG_LIFE[1] for one in deaths)


def test_another_seed_is_another_day() -> None:
    assert len({tuple(one.kind for one in a_day(seed, hours=24)) for seed in range(20)}) == 20


@given(seed=SEEDS)
def test_what_a_machine_cannot_do_is_left_out(seed: int) -> None:
    assert not {one.kind for one in a_day(seed, hours=24, without=DISK)} & set(DISK)
    once = each_once(seed, without=DISK)
    assert sorted(one.kind for one in once) == sorted(set(KINDS) - set(DISK))
    assert {(one.nth, one.at_h) for one in once} == {(0, 0.0)}
