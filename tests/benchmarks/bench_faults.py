"""The faults that the uplink survives, as a Markdown table: `python -m tests.benchmarks.bench_faults`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tests.faults import powercut, scenarios_broker, scenarios_network, scenarios_station
from tests.faults.ledger import COLUMNS, Balance

Scenario: TypeAlias = Callable[[Path], Balance]

SCENARIOS: tuple[Scenario, ...] = (
    scenarios_station.killed,
    powercut.cut,
    scenarios_station.a_disk_that_fails,
    scenarios_station.a_full_disk,
    scenarios_station.clock_jumps,
    scenarios_station.a_callback_raises,
    scenarios_broker.killed,
    scenarios_broker.absent,
    scenarios_broker.ten_thousand_rows_wait,
    scenarios_broker.an_oversized_row_is_at_the_head,
    scenarios_broker.one_topic_is_refused,
    scenarios_broker.two_stations_of_one_name,
    scenarios_network.blackhole,
    scenarios_network.resets,
    partial(scenarios_network.delay, window=20),
    partial(scenarios_network.delay, window=100),
    scenarios_network.slow_link,
)


def main() -> None:
    print(_line(COLUMNS))
    print(_line(("---", *("---:",) * (len(COLUMNS) - 1))))
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="faults-") as name:
            print(_line(scenario(Path(name)).cells()), flush=True)


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
