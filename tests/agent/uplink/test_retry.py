"""When the link tries again, in which version of MQTT, and how it knows a rival for its client id."""

from __future__ import annotations

import random

import pytest

from agent.uplink.mqtt.retry import (
    BACK_OFF_LAST_S,
    EARLY_ENDS,
    EARLY_S,
    RIVAL_GONE_S,
    STABLE_S,
    Ending,
    Outcome,
    Retry,
    after,
    back_off_s,
    lasting,
    next_protocol,
)

EARLY = Ending(outcome="accepted", lasted_s=EARLY_S / 2)
TAKEN_OVER = Ending(outcome="accepted", lasted_s=1.0, taken_over=True, explained=True)


def after_all(*endings: Ending, retry: Retry = Retry()) -> Retry:  # noqa: B008
    for ending in endings:
        retry = after(retry, ending)
    return retry


def shortest_wait_s(retry: Retry) -> float:
    return min(back_off_s(retry.attempt, random.Random(seed)) for seed in range(100))


def longest_wait_s(retry: Retry) -> float:
    return max(back_off_s(retry.attempt, random.Random(seed)) for seed in range(100))


def test_mqtt_5_is_tried_again_after_every_311_connection() -> None:
    assert next_protocol("auto", "5", "unsupported") == "3.1.1"
    assert next_protocol("auto", "5", "hung_up") == "3.1.1"
    assert next_protocol("auto", "5", "failed") == "5"
    assert next_protocol("auto", "3.1.1", "accepted") == "5"
    assert next_protocol("3.1.1", "3.1.1", "unsupported") == "3.1.1"


def test_trap_10_the_back_off_doubles_up_to_half_a_minute_and_is_never_the_same_for_two() -> None:
    waits = [back_off_s(attempt, random.Random(1)) for attempt in range(12)]
    assert 0.25 <= waits[0] <= 0.5
    assert all(15.0 <= wait <= 30.0 for wait in waits[6:])
    assert back_off_s(3, random.Random(1)) != back_off_s(3, random.Random(2))


def test_trap_10_a_connack_alone_does_not_start_the_back_off_afresh() -> None:
    kicked = [Ending(outcome="accepted", lasted_s=EARLY_S + 1)] * 10
    assert shortest_wait_s(after_all(*kicked)) >= BACK_OFF_LAST_S / 2
    tried = after_all(*kicked)
    assert lasting(tried, STABLE_S - 1) == tried
    assert lasting(tried, STABLE_S + 1) == Retry()


def test_trap_10_five_early_ends_in_a_row_without_a_reason_are_a_rival() -> None:
    almost = after_all(*[EARLY] * (EARLY_ENDS - 1))
    assert not almost.duplicate_client_id
    rivalled = after(almost, EARLY)
    assert rivalled.duplicate_client_id
    assert shortest_wait_s(rivalled) >= BACK_OFF_LAST_S / 2


def test_trap_10_until_a_rival_is_known_two_agents_of_ours_stay_quick_enough_to_see_each_other() -> None:
    for ends in range(1, EARLY_ENDS):
        assert longest_wait_s(after_all(*[EARLY] * ends)) < EARLY_S


@pytest.mark.parametrize(
    "between",
    [
        Ending(outcome="failed"),
        Ending(outcome="hung_up"),
        Ending(outcome="accepted", lasted_s=EARLY_S + 1),
        Ending(outcome="accepted", lasted_s=EARLY_S / 2, explained=True),
    ],
)
def test_early_ends_that_are_not_in_a_row_are_no_rival(between: Ending) -> None:
    some = [EARLY] * (EARLY_ENDS - 1)
    assert not after_all(*some, between, *some).duplicate_client_id


def test_a_broker_that_says_taken_over_names_a_rival_at_once_and_the_back_off_grows_to_the_last() -> None:
    retry = Retry()
    waits = []
    for _ in range(8):
        retry = after(retry, TAKEN_OVER)
        assert retry.duplicate_client_id
        waits.append(shortest_wait_s(retry))
    assert waits == sorted(waits)
    assert waits[-1] >= BACK_OFF_LAST_S / 2


def test_a_rival_in_its_longest_back_off_is_not_taken_for_gone() -> None:
    retry = after_all(*[EARLY] * EARLY_ENDS)
    waited_out = Ending(outcome="accepted", lasted_s=BACK_OFF_LAST_S)
    again = after(lasting(retry, waited_out.lasted_s), waited_out)
    assert again.duplicate_client_id
    assert shortest_wait_s(again) >= BACK_OFF_LAST_S / 2


@pytest.mark.parametrize("outcome", ["failed", "hung_up", "unsupported"])
def test_a_rival_is_remembered_through_attempts_that_get_nowhere(outcome: Outcome) -> None:
    assert after_all(TAKEN_OVER, Ending(outcome=outcome)).duplicate_client_id


def test_a_rival_is_gone_when_a_connection_outlasts_what_it_can_have_waited() -> None:
    retry = after_all(*[TAKEN_OVER] * 8)
    assert lasting(retry, RIVAL_GONE_S - 1).duplicate_client_id
    assert lasting(retry, RIVAL_GONE_S + 1) == Retry()
