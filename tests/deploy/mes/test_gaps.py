"""Missing verdicts have names, over reboots, replays and outboxes that began afresh."""

from __future__ import annotations

import pytest

from gaps import Gap, Island, find_gaps
from tests.deploy.mes.told import SOURCE


def island(boot: str, first: int, last: int, arrival: int, *, replayed: bool = False) -> Island:
    return Island(SOURCE, boot, first, last, arrival, int(replayed))


def gap(boot: str, first: int, last: int, *, current: bool = True) -> Gap:
    return Gap(SOURCE, boot, first, last, current)


@pytest.mark.parametrize(
    ("islands", "gaps"),
    [
        ([], []),
        ([island("a", 500, 600, 1)], []),
        ([island("a", 1, 9, 1), island("a", 12, 20, 10)], [gap("a", 10, 11)]),
        ([island("a", 1, 9, 1), island("b", 10, 20, 10)], []),
        ([island("a", 1, 9, 1), island("b", 12, 20, 10)], [gap("b", 10, 11)]),
        ([island("a", 1, 9, 1), island("a", 10, 11, 99, replayed=True), island("b", 12, 20, 10)], []),
        (
            [island("a", 1, 9, 1), island("b", 15, 20, 10), island("lost", 10, 11, 99, replayed=True)],
            [gap("b", 12, 14)],
        ),
        ([island("a", 5, 9, 9), island("before", 1, 4, 99, replayed=True)], []),
        ([island("a", 1, 9, 1), island("b", 12, 20, 10), island("late", 10, 11, 99)], []),
        (
            [island("a", 1, 9, 1), island("a", 12, 20, 10), island("fresh", 3, 8, 30)],
            [gap("a", 10, 11, current=False), gap("fresh", 1, 2)],
        ),
        ([island("a", 5000, 6000, 1), island("fresh", 1, 50, 2000)], []),
    ],
    ids=[
        "nothing",
        "what was before the first one",
        "inside a boot",
        "numbers go on over a reboot",
        "between two boots",
        "a replay closes it",
        "a boot that was lost whole comes by replay",
        "a replay of what was before the first one",
        "a boot that comes late fits in",
        "an outbox that began afresh",
        "an outbox that began afresh below all that was seen",
    ],
)
def test_gaps_are_what_is_missing_between_islands(islands: list[Island], gaps: list[Gap]) -> None:
    assert find_gaps(islands) == gaps
