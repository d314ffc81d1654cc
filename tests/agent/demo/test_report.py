"""The demo's terminal accounts for every frame, and says in words why some were not judged."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.demo.report import line
from agent.messages import VerdictName
from agent.status.board import Board
from agent.status.snapshot import Snapshot
from tests.agent.status.samples import verdict

NAMES: tuple[VerdictName, ...] = ("pass", "fail", "undecided", "skipped")


def snapshot(counts: dict[VerdictName, int]) -> Snapshot:
    board = Board(station="demo", version="0", clock=ManualClock())
    for name, count in counts.items():
        for _ in range(count):
            reason = {"undecided": "lost_lines", "skipped": "overload"}.get(name)
            board.judged(verdict(0, name, reason=reason), None)
    return board.snapshot()


@given(st.fixed_dictionaries({name: st.integers(0, 60) for name in NAMES}))
def test_the_columns_add_up_and_the_share_judged_stands_beside_the_rate(
    counts: dict[VerdictName, int],
) -> None:
    told = line(snapshot(counts))
    columns = {
        name: int(count) for name, count in re.findall(r"(frames|pass|fail|undecided|skipped) +(\d+)", told)
    }
    assert columns.pop("frames") == sum(columns.values()) == sum(counts.values())
    assert columns == counts
    judged = counts["pass"] + counts["fail"]
    if judged == sum(counts.values()) > 0:
        assert re.search(r"judged +100 %", told)
    else:
        assert "100 %, of" not in told
    assert ("queue full, the machine is too slow" in told) is (counts["skipped"] > 0)
    assert ("lines of the web were lost" in told) is (counts["undecided"] > 0)


def test_the_shares_of_an_overloaded_demo() -> None:
    told = line(snapshot({"pass": 109, "fail": 38, "undecided": 0, "skipped": 188}))
    assert "frames   335 = pass  109  fail   38  undecided    0  skipped  188" in told
    assert "judged  44 %, of those rejected  26 %" in told
    assert told.endswith("; 188 of the last minute not judged: queue full, the machine is too slow")


def test_a_slow_machine_shifts_no_column() -> None:
    lines = []
    for recorded_ms in (None, 3.0, 999.0, 1234.0, 99_999.0):
        board = Board(station="demo", version="0", clock=ManualClock())
        if recorded_ms is not None:
            board.judged(verdict(0, recorded_ms=recorded_ms), None)
        lines.append(line(board.snapshot()))
    assert len({told.index("outbox") for told in lines}) == 1
    assert "1.2 s" in lines[3]
