"""Any long story of a station's rollouts keeps the promises, with the limits that are in force."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.remote.rollout.transaction import LIMITS
from tests.agent.remote.enumeration import Rules, World, broken, first_world, ways_from

CHOICES = st.lists(st.integers(min_value=0, max_value=1000), min_size=20, max_size=400)


@settings(max_examples=60, deadline=None)
@given(CHOICES, st.sampled_from([("old", "older"), ("old", None), (None, None)]))
def test_any_story_of_offers_deaths_and_power_cuts_keeps_the_promises(
    choices: list[int], links: tuple[str | None, str | None]
) -> None:
    world, rules = first_world(*links), Rules(limits=LIMITS, targets=("new", "newer", "newest"))
    for choice in choices:
        ways = list(ways_from(world, rules))
        name, after = ways[choice % len(ways)]
        assert_kept(world, after, name, had_one=links[0] is not None)
        world = after


def assert_kept(before: World, after: World, name: str, *, had_one: bool) -> None:
    found = [
        words for words in broken(after, LIMITS) if had_one or words != "neither current nor previous can run"
    ]
    assert found == [], (name, before, after)
