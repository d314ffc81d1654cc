"""Whatever befalls the station, all that it committed arrives, in order, and it stays small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import scenarios_station as scenarios
from tests.faults.ledger import assert_survived
from tests.faults.small_disk import may_mount


@pytest.mark.slow
def test_a_station_killed_fifty_times_loses_nothing(tmp_path: Path) -> None:
    assert_survived(scenarios.killed(tmp_path))


@pytest.mark.slow
def test_a_clock_that_jumps_an_hour_both_ways_changes_nothing(tmp_path: Path) -> None:
    assert_survived(scenarios.clock_jumps(tmp_path))


def test_a_callback_that_raises_costs_no_row(tmp_path: Path) -> None:
    assert_survived(scenarios.a_callback_raises(tmp_path))


def test_a_disk_that_fails_loses_nothing_that_was_announced(tmp_path: Path) -> None:
    assert_survived(scenarios.a_disk_that_fails(tmp_path))


@pytest.mark.slow
def test_a_full_disk_loses_nothing_and_is_used_again_when_there_is_room(tmp_path: Path) -> None:
    if not may_mount(tmp_path):
        pytest.skip("mounting a small disk needs root")
    assert_survived(scenarios.a_full_disk(tmp_path))
