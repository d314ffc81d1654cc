"""No order of events, deaths and power cuts leaves a station without a known bundle, or stuck."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest

from agent.remote.rollout import rollout
from agent.remote.rollout.transaction import Do, Limits, Links, Point, Record, State, Step
from tests.agent.remote.enumeration import Found, Rules, broken, enumerate_all, first_world


@pytest.fixture(scope="module")
def found() -> Found:
    began = time.monotonic()
    all_ = enumerate_all(first_world(), Rules())
    assert time.monotonic() - began < 30
    return all_


def promises_broken(found: Found) -> Counter[str]:
    return Counter(words for world in found.ways for words in broken(world))


def test_every_state_is_enumerated(found: Found) -> None:
    assert {world.record.state for world in found.ways} == set(get_args(State))
    assert {world.record.outcome for world in found.ways} >= {
        "applied",
        "failed",
        "superseded",
        "cancelled",
        "rolled_back",
    }
    assert len(found.ways) > 5000


def test_nothing_unverified_or_uncommitted_is_active_and_something_good_always_is(found: Found) -> None:
    assert promises_broken(found) == {}


def test_every_world_leads_back_to_idle_without_a_network(found: Found) -> None:
    assert found.trapped() == set()


def test_a_first_bundle_of_a_station_keeps_the_same_promises() -> None:
    first = enumerate_all(first_world(current=None, previous=None), Rules())
    assert set(promises_broken(first)) == {"neither current nor previous can run"}  # as before it
    assert first.trapped() == set()
    assert "unable_to_roll_back" in {world.record.outcome for world in first.ways}


def test_a_bundle_that_is_damaged_meanwhile_is_left_at_the_next_start() -> None:
    damaged = enumerate_all(first_world(), Rules(may_be_damaged=True, targets=("new",)))
    assert damaged.trapped() == set()
    for ways in damaged.ways.values():
        for name, world in ways:
            if name in ("died", "power"):
                while world.queue:
                    ((_, world), *_) = damaged.ways[world]
                assert world.current is None or world.current in world.whole


def test_an_instruction_that_was_seen_changes_nothing_in_idle(found: Found) -> None:
    for world, ways in found.ways.items():
        seen = max((one.counter for one in world.record.highest), default=0)
        if world.record.state == "idle" and not world.queue and seen == 2:
            offers = [after for name, after in ways if name == "offer"]
            assert all(not any(isinstance(one, Record) for one in after.queue) for after in offers)


def test_attempts_rise_neither_in_idle_nor_in_committed(found: Found) -> None:
    for world, ways in found.ways.items():
        if world.record.state in ("idle", "committed") and not world.queue:
            for _, after in ways:
                for one in after.queue:
                    if isinstance(one, Record) and one.state == world.record.state:
                        assert (one.attempts, one.power_cuts) == (
                            world.record.attempts,
                            world.record.power_cuts,
                        )


# The variants that must be caught: the enumeration bites.


def test_a_switch_before_the_record_is_caught() -> None:
    found = enumerate_all(first_world(), Rules(record_first=False, targets=("new",)))
    assert promises_broken(found)["an uncommitted bundle is active in idle"] > 0


def test_a_way_back_that_is_not_repeated_at_the_start_is_caught() -> None:
    def start(record: Record, links: Links, boot_id: str, limits: Limits) -> Step:
        step = rollout.start(record, links, boot_id, limits)
        if step.record.state == "rolling_back":
            return replace(step, actions=(Do(what="observe"),))
        return step

    assert len(enumerate_all(first_world(), Rules(start=start, targets=("new",))).trapped()) > 0


def test_a_switch_to_the_target_after_the_limit_is_caught() -> None:
    def start(record: Record, links: Links, boot_id: str, limits: Limits) -> Step:
        step = rollout.start(record, links, boot_id, limits)
        if record.state == "probation" and step.record.state == "rolling_back":
            assert record.instruction is not None
            again = Point(link="current", at=record.instruction.target_sha256)
            return replace(step, actions=(again, Do(what="observe")))
        return step

    found = enumerate_all(first_world(), Rules(start=start, targets=("new",)))
    assert len(found.trapped()) > 0
