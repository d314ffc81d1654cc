"""Counters that wrap give numbers that do not, wherever they start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.genicam.counters import blocks_between, unwrapped, unwrapped_signed


@given(st.integers(0, 1 << 40), st.integers(1, 32_000))
def test_a_block_id_of_16_bits_counts_on_over_its_wrap_which_skips_0(start: int, later: int) -> None:
    first, second = start % 65_535 + 1, (start + later) % 65_535 + 1
    assert blocks_between(first, second) == later


def test_65535_is_followed_by_1() -> None:
    assert blocks_between(65_535, 1) == 1
    assert blocks_between(65_534, 2) == 3


@pytest.mark.parametrize(("previous", "block_id"), [(400, 1), (1, 65_535), (7, 7)])
def test_a_block_id_that_goes_back_is_no_later_one(previous: int, block_id: int) -> None:
    assert blocks_between(previous, block_id) <= 0


@given(st.integers(65_536, 1 << 60), st.integers(0, 1 << 40))
def test_extended_block_ids_do_not_wrap(previous: int, later: int) -> None:
    assert blocks_between(previous, previous + later) == later


@given(st.integers(0, 1 << 50), st.integers(-(1 << 31), (1 << 31) - 1))
def test_an_encoder_of_32_bits_is_followed_in_both_directions(previous: int, step: int) -> None:
    assert unwrapped_signed(previous, (previous + step) % (1 << 32)) == previous + step


@given(st.integers(0, 1 << 50), st.integers(0, (1 << 31) - 1))
def test_a_line_counter_of_64_bits_is_taken_as_it_is(previous: int, step: int) -> None:
    assert unwrapped(previous, previous + step) == previous + step


def test_a_line_counter_that_was_set_back_is_taken_as_it_stands() -> None:
    assert unwrapped(1000, 0) == 0
    assert unwrapped(10, (1 << 32) - 100) == (1 << 32) - 100
