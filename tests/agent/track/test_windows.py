"""Windows stay at their places on the web through losses, repeats and restarts of the coordinate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Frame, FrameFault
from agent.track.windows import MISSING_FAULTS, Item, Web
from tests.agent.track.blocks import NOON, block, numbers


def frames(items: list[Item]) -> list[Frame]:
    assert all(isinstance(item, Frame) for item in items), items
    return [item for item in items if isinstance(item, Frame)]


def fault(frame_id: int) -> FrameFault:
    return FrameFault(
        camera="top",
        frame_id=frame_id,
        reason="camera_error",
        detail="torn",
        captured_ns=0,
        captured_at=NOON,
        lines_lost=5,
    )


def test_zero_window_lines_pass_everything_through() -> None:
    web = Web(0)
    items: list[Item] = [block(0, 4, 0), fault(1), block(0, 4, 2)]
    assert [web.push(item) for item in items] == [[item] for item in items]
    assert web.flush() == []


def test_windows_are_cut_by_the_coordinate_and_not_by_the_blocks() -> None:
    web = Web(10)
    windows = frames([item for n in range(5) for item in web.push(block(7 * n, 7, n))])
    assert [(w.frame_id, w.first_line, w.captured_ns) for w in windows] == [(0, 0, 1), (1, 10, 2), (2, 20, 4)]
    assert [numbers(w.image) for w in windows] == [list(range(10 * k, 10 * k + 10)) for k in range(3)]
    assert all(w.valid is None and w.lines_lost == 0 for w in windows)


def test_one_block_may_hold_many_windows() -> None:
    windows = frames(Web(10).push(block(0, 35, 0)))
    assert [w.frame_id for w in windows] == [0, 1, 2]


def test_lost_lines_show_the_last_line_and_are_invalid_and_nothing_shifts() -> None:
    web = Web(10)
    web.push(block(0, 4, 0))
    (window,) = frames(web.push(block(7, 4, 1, lines_lost=3)))
    assert numbers(window.image) == [0, 1, 2, 3, 3, 3, 3, 7, 8, 9]
    assert window.valid is not None and window.valid.tolist() == [True] * 4 + [False] * 3 + [True] * 3
    assert window.lines_lost == web.lines_lost == 3


def test_lines_that_a_camera_filled_in_itself_stay_invalid() -> None:
    valid = np.array([True, False, False, True, True])
    (window,) = frames(Web(5).push(block(0, 5, 0, lines_lost=2, valid=valid)))
    assert numbers(window.image) == [0, 0, 0, 3, 4]
    assert window.valid is not None and window.valid.tolist() == valid.tolist()


def test_losses_that_the_coordinate_does_not_show_are_charged_to_the_start_of_their_block() -> None:
    web = Web(8)
    web.push(block(0, 4, 0))
    (window,) = frames(web.push(block(4, 4, 1, lines_lost=2)))
    assert numbers(window.image) == [0, 1, 2, 3, 3, 3, 6, 7]
    assert window.valid is not None and window.valid.tolist() == [True] * 4 + [False] * 2 + [True] * 2


def test_a_web_that_begins_within_a_window_has_its_head_filled_with_its_first_line() -> None:
    (window,) = frames(Web(10).push(block(1003, 7, 0, lines_lost=500)))
    assert numbers(window.image) == [1003] * 4 + list(range(1004, 1010))
    assert (window.frame_id, window.lines_lost) == (100, 3)


def test_a_window_without_a_valid_line_is_a_fault() -> None:
    web = Web(10)
    web.push(block(0, 10, 0))
    (item,) = web.push(block(20, 5, 1))
    assert isinstance(item, FrameFault)
    assert (item.frame_id, item.reason, item.first_line, item.lines_lost) == (1, "lost_lines", 10, 10)
    assert "lines 10 to 19" in item.detail


def test_a_block_without_a_valid_line_is_a_loss() -> None:
    (item,) = Web(10).push(block(0, 10, 0, valid=np.zeros(10, np.bool_)))
    assert isinstance(item, FrameFault) and item.lines_lost == 10


def test_a_huge_gap_gives_a_bounded_number_of_faults_that_account_for_every_line() -> None:
    web = Web(10)
    web.push(block(0, 5, 0))
    items = web.push(block(1_000_000_007, 5, 1))
    head, *missing, tail, last = items
    assert isinstance(head, Frame) and head.lines_lost == 5
    assert [item.frame_id for item in missing] == list(range(1, MISSING_FAULTS + 1))
    assert isinstance(tail, FrameFault) and tail.frame_id == MISSING_FAULTS + 1
    assert tail.lines_lost == (100_000_000 - MISSING_FAULTS - 1) * 10
    assert isinstance(last, Frame) and (last.frame_id, last.lines_lost) == (100_000_000, 7)
    assert sum(item.lines_lost for item in items) == web.lines_lost == 1_000_000_002


@pytest.mark.parametrize("missing", [MISSING_FAULTS, MISSING_FAULTS + 1])
def test_the_bound_on_faults_counts_every_missing_window_once(missing: int) -> None:
    web = Web(10)
    web.push(block(0, 10, 0))
    items = web.push(block(10 * (missing + 1), 10, 1))
    assert len(items) == missing + 1
    assert [item.lines_lost for item in items] == [10] * missing + [0]


def test_lines_that_come_again_are_dropped_and_counted() -> None:
    web = Web(10)
    web.push(block(0, 8, 0))
    again = block(5, 6, 1)
    again.image[:3] = 255
    (window,) = frames(web.push(again))
    assert numbers(window.image) == list(range(10))
    assert web.lines_repeated == 3 and web.lines_lost == 0


def test_a_block_delivered_twice_changes_nothing() -> None:
    web = Web(10)
    web.push(block(0, 6, 0))
    assert web.push(block(0, 6, 0)) == []
    assert numbers(frames(web.push(block(6, 6, 1)))[0].image) == list(range(10))
    assert (web.lines_repeated, web.restarts) == (6, 0)


@pytest.mark.parametrize("frame_id", [0, 9], ids=["ids restart too", "ids go on"])
def test_a_coordinate_that_starts_again_closes_the_window_and_goes_on(frame_id: int) -> None:
    web = Web(10)
    web.push(block(100, 15, 8))
    items = web.push(block(0, 12, frame_id))
    closed, fresh = frames(items)
    assert (closed.frame_id, closed.lines_lost) == (11, 5)
    assert (fresh.frame_id, fresh.lines_lost) == (0, 0) and numbers(fresh.image) == list(range(10))
    assert web.restarts == 1


def test_pictures_that_all_start_at_line_zero_are_webs_of_their_own() -> None:
    web = Web(10)
    windows = frames([item for n in range(3) for item in web.push(block(0, 12, n))] + web.flush())
    assert [(w.first_line, w.lines_lost) for w in windows] == [(0, 0), (10, 8)] * 3


def test_flush_closes_the_open_window_once_and_a_coordinate_that_starts_again_is_a_web_anew() -> None:
    web = Web(10)
    web.push(block(0, 13, 4))
    (window,) = frames(web.flush())
    assert (window.frame_id, window.lines_lost, window.captured_ns) == (1, 7, 4)
    assert numbers(window.image) == [10, 11, 12] + [12] * 7
    assert web.flush() == []
    (fresh,) = frames(web.push(block(0, 10, 5)))
    assert (fresh.frame_id, fresh.lines_lost) == (0, 0)


def test_flush_of_a_window_without_a_valid_line_is_a_fault() -> None:
    web = Web(10)
    web.push(block(0, 4, 0, valid=np.zeros(4, np.bool_)))
    (item,) = web.flush()
    assert isinstance(item, FrameFault) and (item.reason, item.lines_lost) == ("lost_lines", 10)


def test_a_camera_fault_takes_the_place_of_the_window_being_filled() -> None:
    web = Web(10)
    web.push(block(0, 25, 77))
    (item,) = web.push(fault(78))
    assert isinstance(item, FrameFault)
    assert (item.frame_id, item.first_line, item.lines_lost, item.detail) == (2, 20, 0, "torn")


def test_an_empty_block_changes_nothing() -> None:
    web = Web(10)
    web.push(block(0, 6, 0))
    assert web.push(block(6, 0, 1)) == []
    assert frames(web.push(block(6, 4, 2)))[0].lines_lost == 0


def test_the_encoder_of_a_window_is_interpolated_within_its_block() -> None:
    web = Web(10)
    first, *rest = frames(web.push(block(0, 12, 0)) + web.push(block(12, 12, 1)) + web.push(block(24, 12, 2)))
    assert first.encoder == 0
    assert [w.encoder for w in rest] == [None, 60]  # line 10 came with the very first block


def test_windows_share_no_memory_with_blocks() -> None:
    web = Web(10)
    source = block(0, 10, 0)
    (window,) = frames(web.push(source))
    source.image[:] = 0
    assert numbers(window.image) == list(range(10))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(0, 70)), min_size=1, max_size=8),
    st.integers(0, 25),
)
def test_lines_that_passed_between_two_connections_are_lost_in_their_place(
    connections: list[tuple[int, int, int]], first_line: int
) -> None:
    web, items, line, frame_id = Web(10), list[Item](), first_line, 0
    for blocks, lines, away in connections:
        gap = away if frame_id else 0
        line += gap
        for _ in range(blocks):
            items += web.push(block(line, lines, frame_id))
            line, frame_id = line + lines, frame_id + 1
        items += web.flush()
    begins = first_line - first_line % 10
    shown = [number for one in items if isinstance(one, Frame) for number in valid_numbers(one)]
    assert shown == sorted(set(shown)) and set(shown) <= set(range(first_line, line))
    lost = sum(one.lines_lost for one in items)
    ends = max(one.first_line + (10 if isinstance(one, Frame) else one.lines_lost) for one in items)
    assert len(shown) + lost == ends - begins
    starts = [one.first_line for one in items]
    assert starts == sorted(set(starts)) and starts[0] == begins


def valid_numbers(window: Frame) -> list[int]:
    """The numbers that the valid lines of a window show."""
    seen = numbers(window.image)
    return seen if window.valid is None else [n for n, valid in zip(seen, window.valid, strict=True) if valid]
