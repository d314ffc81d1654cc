"""Lines that were given out and lines that are said to be lost are together what the camera saw."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.genicam.accounting import Accounts, Place

HEIGHT = 128
START = (1 << 32) - 3 * HEIGHT  # the counter wraps in nearly every run


@dataclass(frozen=True)
class Sent:
    lines: int
    skipped: int  # lines that the sensor missed before it
    fate: str  # complete, incomplete, dropped


sent = st.builds(
    Sent,
    lines=st.integers(1, HEIGHT),
    skipped=st.one_of(st.just(0), st.integers(0, 5000)),
    fate=st.sampled_from(["complete", "complete", "incomplete", "dropped"]),
)


def received(accounts: Accounts, block_id: int, counter: int | None, one: Sent) -> Place | None:
    if one.fate == "incomplete":
        accounts.incomplete(block_id)
    if one.fate != "complete":
        return None
    return accounts.complete(block_id=block_id, counter=counter, lines=one.lines, block_lines=HEIGHT)


@given(st.lists(sent, min_size=1, max_size=60), st.integers(1, 65_535), st.sets(st.integers(1, 59)))
def test_with_a_line_counter_every_line_is_given_out_or_lost_also_over_reconnects(
    blocks: list[Sent], first_id: int, reconnects: set[int]
) -> None:
    accounts = Accounts()
    accounts.begin()
    counter, block_id = START, first_id
    given_out = lost = 0
    begins: int | None = None
    ended = START
    for number, one in enumerate(blocks):
        if number in reconnects:
            accounts.begin()
            block_id = 1
        counter += one.skipped
        place = received(accounts, block_id, counter % (1 << 32), one)
        if place is not None:
            begins = counter if begins is None else begins
            # Until the counter is known to have wrapped, it counts from where it stood first.
            assert place.first_line == counter - begins + begins % (1 << 32)
            given_out += one.lines
            lost += place.lines_lost
            ended = counter + one.lines
        counter += one.lines
        block_id = block_id % 65_535 + 1
    assert given_out + lost == (0 if begins is None else ended - begins)


@given(st.lists(sent, min_size=1, max_size=60), st.integers(1, 65_535))
def test_without_one_lost_blocks_count_as_whole_ones_and_frame_ids_have_no_doubt(
    blocks: list[Sent], first_id: int
) -> None:
    accounts = Accounts()
    accounts.begin()
    block_id = first_id
    next_line, unseen, first_seen = 0, 0, None
    for number, one in enumerate(blocks):
        place = received(accounts, block_id, None, one)
        if first_seen is None and one.fate != "dropped":
            first_seen = number
        if place is None:
            unseen += first_seen is not None
        else:
            assert first_seen is not None
            assert place.lines_lost == unseen * HEIGHT
            assert place.first_line == next_line + place.lines_lost
            assert place.frame_id == number - first_seen
            next_line, unseen = place.first_line + one.lines, 0
        block_id = block_id % 65_535 + 1


def test_a_camera_that_was_switched_off_counts_from_its_own_start_again() -> None:
    accounts = Accounts()
    accounts.begin()
    accounts.complete(block_id=1, counter=50_000, lines=HEIGHT, block_lines=HEIGHT)
    accounts.begin()
    place = accounts.complete(block_id=1, counter=0, lines=HEIGHT, block_lines=HEIGHT)
    assert (place.first_line, place.lines_lost, place.frame_id) == (0, 0, 1)


def test_block_ids_that_start_again_within_a_connection_are_no_loss() -> None:
    accounts = Accounts()
    accounts.begin()
    accounts.complete(block_id=500, counter=None, lines=HEIGHT, block_lines=HEIGHT)
    place = accounts.complete(block_id=1, counter=None, lines=HEIGHT, block_lines=HEIGHT)
    assert (place.frame_id, place.blocks_missing, place.lines_lost) == (1, 0, 0)


def test_the_encoder_of_a_belt_that_runs_backwards_goes_below_zero() -> None:
    accounts = Accounts()
    accounts.begin()
    assert [accounts.encoder(raw) for raw in (8, 0, (1 << 32) - 8)] == [8, 0, -8]
