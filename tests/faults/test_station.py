"""Whatever befalls the station, all that it committed arrives, in order."""

from __future__ import annotations

from pathlib import Path

from tests.faults import scenarios_station as scenarios


def test_a_station_killed_fifty_times_loses_nothing(tmp_path: Path) -> None:
    balance = scenarios.killed(tmp_path)
    print(balance)
    assert balance.is_even and balance.committed > 500
