"""Whatever befalls the broker, all that was committed arrives, in order, and the station stays small."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.brokers import eventually
from tests.faults import scenarios_broker as scenarios
from tests.faults.ledger import assert_survived
from tests.faults.plant import Plant


@pytest.mark.slow
def test_a_broker_killed_and_restarted_under_load_costs_no_row(tmp_path: Path) -> None:
    assert_survived(scenarios.killed(tmp_path))


@pytest.mark.slow
def test_a_broker_absent_from_the_start_gets_everything_when_it_comes(tmp_path: Path) -> None:
    assert_survived(scenarios.absent(tmp_path))


@pytest.mark.slow
def test_ten_thousand_rows_waiting_at_reconnect_arrive_in_order(tmp_path: Path) -> None:
    balance = scenarios.ten_thousand_rows_wait(tmp_path)
    assert_survived(balance)
    assert balance.committed >= 10_000


def test_an_oversized_row_at_the_head_holds_nothing_up(tmp_path: Path) -> None:
    assert_survived(scenarios.an_oversized_row_is_at_the_head(tmp_path))


@pytest.mark.slow
def test_a_refused_topic_holds_nothing_else_up(tmp_path: Path) -> None:
    assert_survived(scenarios.one_topic_is_refused(tmp_path))


@pytest.mark.slow
def test_two_stations_of_one_name_both_deliver_everything(tmp_path: Path) -> None:
    assert_survived(scenarios.two_stations_of_one_name(tmp_path))


@pytest.mark.slow
def test_one_of_two_stations_of_one_name_finds_it_out_and_lets_the_other_be(tmp_path: Path) -> None:
    words = "another client seems to be 'station'"
    with Plant(tmp_path) as plant:
        stations = [plant.start(camera, rate_hz=1) for camera in ("left", "right")]
        eventually(
            lambda: any(words in reason for one in stations for reason in one.reasons),
            "one of them says so",
        )
        quiet_from = [one.connections() for one in stations]
        time.sleep(5)
        assert sum(one.connections() for one in stations) - sum(quiet_from) <= 2, "they do not fight on"
