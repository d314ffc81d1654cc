"""What the table of an outage counts: verdicts that are lost, come twice or come late, each by itself."""

from __future__ import annotations

import pytest

from tests.benchmarks.arrivals import Arrival, Outage, Tally, tally

OUTAGE = Outage(last_before=3, last_during=7, returned_s=100.0)
PLAIN = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def counted(*sequences: int) -> Tally:
    """Verdict N arrives N seconds after the return, whatever its place."""
    return tally(10, OUTAGE, [Arrival(sequence=n, at_s=100.0 + n) for n in sequences])


def test_what_arrives_whole_and_in_order_has_nothing_to_tell() -> None:
    found = counted(*PLAIN)
    assert (found.made, found.made_during, found.arrived) == (10, 4, 10)
    assert (found.lost, found.lost_during, found.twice, found.disorder) == (0, 0, 0, 0)


def test_a_verdict_that_never_arrives_is_lost_wherever_it_is() -> None:
    assert counted(*PLAIN[1:]).lost == counted(*PLAIN[:4], *PLAIN[5:]).lost == counted(*PLAIN[:-1]).lost == 1
    assert counted().lost == 10


def test_what_is_lost_is_told_apart_by_when_it_was_made() -> None:
    assert counted(*PLAIN[:3], *PLAIN[7:]).lost_during == counted(*PLAIN[:3], *PLAIN[7:]).lost == 4
    assert counted(*PLAIN[2:7]).lost == 5 and counted(*PLAIN[2:7]).lost_during == 0


def test_a_second_arrival_is_neither_lost_nor_out_of_order() -> None:
    found = counted(*PLAIN[:5], 2, 2, *PLAIN[5:], 10)
    assert (found.lost, found.twice, found.disorder) == (0, 3, 0)


def test_a_verdict_behind_a_later_one_is_out_of_order_once() -> None:
    assert counted(1, 3, 2, 4, 5, 6, 7, 8, 9, 10).disorder == 1
    assert counted(4, 5, 6, 1, 2, 3, 7, 8, 9, 10).disorder == 3
    assert counted(1, 10).disorder == 0  # a gap alone is no disorder


def test_it_has_caught_up_when_the_last_verdict_of_the_outage_is_there() -> None:
    assert counted(*PLAIN).caught_up_s == 7.0  # not 3, which was before it, nor 10, which was after
    assert counted(1, 2, 3, 4, 8, 9, 10).caught_up_s == 4.0
    assert counted(1, 2, 3, 8, 9, 10).caught_up_s is None
    early = [Arrival(sequence=4, at_s=99.0)]
    assert tally(10, OUTAGE, early).caught_up_s == 0.0  # what stalled was through before it was said to be


@pytest.mark.parametrize("number", [0, 11])
def test_a_verdict_that_nobody_made_is_an_error_of_the_bench(number: int) -> None:
    with pytest.raises(ValueError, match=f"verdict {number} arrived, of 1 to 10"):
        counted(number)
