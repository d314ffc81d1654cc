"""Whatever befalls the network, all that was committed arrives, in order, and the station stays small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import scenarios_network as scenarios
from tests.faults.ledger import assert_survived


@pytest.mark.slow
def test_a_blackhole_is_noticed_and_costs_no_row(tmp_path: Path) -> None:
    assert_survived(scenarios.blackhole(tmp_path))


@pytest.mark.slow
def test_resets_cost_no_row(tmp_path: Path) -> None:
    assert_survived(scenarios.resets(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("window", [20, 100])
def test_a_delay_of_50_ms_each_way_costs_no_row(tmp_path: Path, window: int) -> None:
    assert_survived(scenarios.delay(tmp_path, window=window))


@pytest.mark.slow
def test_a_link_slower_than_the_line_costs_no_row(tmp_path: Path) -> None:
    assert_survived(scenarios.slow_link(tmp_path))
