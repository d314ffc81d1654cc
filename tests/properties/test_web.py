"""What holds for every web: no pixel and no line is missed, doubled or moved on its way to a judgement."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.line.seams import defects, mosaic
from agent.line.tiles import cut, plan
from agent.messages import Floats, Frame, Pixels
from agent.track.windows import Item, Web
from tests.agent.track.blocks import TICKS, block, numbers

TILE = 16


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """height, width, tile, overlap"""
    tile = draw(st.integers(1, 40))
    return draw(st.integers(1, 150)), draw(st.integers(1, 150)), tile, draw(st.integers(0, tile - 1))


@given(layouts())
def test_every_pixel_is_covered_by_tiles_inside_the_frame(layout: tuple[int, int, int, int]) -> None:
    height, width, tile, overlap = layout
    covered = np.zeros((height, width), np.bool_)
    for x, y in plan(height, width, tile, overlap):
        assert 0 <= x <= max(0, width - tile) and 0 <= y <= max(0, height - tile)
        covered[y : y + tile, x : x + tile] = True
    assert covered.all()


@given(layouts())
def test_neighbours_overlap_by_at_least_what_was_asked_and_are_evenly_spread(
    layout: tuple[int, int, int, int],
) -> None:
    height, width, tile, overlap = layout
    origins = plan(height, width, tile, overlap)
    for axis in (0, 1):
        steps = np.diff(sorted({origin[axis] for origin in origins}))
        if steps.size:
            assert steps.max() <= tile - overlap and steps.max() - steps.min() <= 1
    assert origins[-1] == (max(0, width - tile), max(0, height - tile))


@given(layouts(), st.integers(0, 2**16))
def test_cut_and_mosaic_of_identity_maps_give_the_frame_back(
    layout: tuple[int, int, int, int], seed: int
) -> None:
    height, width, tile, overlap = layout
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 1), dtype=np.uint8)
    origins = plan(height, width, tile, overlap)
    maps = cut(image, origins, tile)[:, :, :, 0].astype(np.float32)
    assert np.array_equal(mosaic(maps, origins, tile, (height, width)), image[:, :, 0])


@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(0, TILE - 1),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.floats(-1, 1, width=32),
)
def test_constant_maps_of_any_stride_leave_no_cell_of_the_frame_empty(
    height: int, width: int, overlap: int, stride: int, value: float
) -> None:
    origins = plan(height, width, TILE, overlap)
    maps = np.full((len(origins), TILE // stride, TILE // stride), value, np.float32)
    merged = mosaic(maps, origins, TILE, (height, width))
    assert merged.shape == (-(-height // stride), -(-width // stride))
    assert (merged == np.float32(value)).all()


def seen(image: Pixels, origins: tuple[tuple[int, int], ...], stride: int) -> Floats:
    """Maps of tiles as a model gives them: the strongest pixel of each cell."""
    tiles = cut(image, origins, TILE)[:, :, :, 0].astype(np.float32)
    cells = TILE // stride
    strongest: Floats = tiles.reshape(len(tiles), cells, stride, cells, stride).max(axis=(2, 4))
    return strongest


@given(
    st.integers(TILE, 90),
    st.integers(TILE, 90),
    st.integers(0, TILE - 1),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 12),
    st.integers(1, 12),
    st.data(),
)
def test_a_defect_anywhere_even_on_seams_is_one_defect_with_its_box_within_a_stride(
    height: int, width: int, overlap: int, stride: int, long: int, high: int, data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, width - long)), data.draw(st.integers(0, height - high))
    image = np.zeros((height, width, 1), np.uint8)
    image[y : y + high, x : x + long] = 200
    origins = plan(height, width, TILE, overlap)
    merged = mosaic(seen(image, origins, stride), origins, TILE, (height, width))
    found = defects(merged, 100.0, stride=stride, scale=1.0, frame_shape=(height, width), min_area_px=1)
    assert len(found) == 1
    left, top, box_width, box_height = found[0].bbox_px
    right, bottom = left + box_width, top + box_height
    # Outside by less than the cell it touches and the shift of its tile, inside by less than the shift.
    for edge, true in ((left, x), (top, y)):
        assert true - 2 * stride < edge < true + stride
    for edge, true in ((right, x + long), (bottom, y + high)):
        assert true - stride < edge < true + 2 * stride
    assert found[0].score == 200.0


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int]]]:
    """window_lines, first line of the web, and (lines lost before, lines) of each block."""
    loss = st.one_of(st.just(0), st.integers(0, 60))
    blocks = st.lists(st.tuples(loss, st.integers(1, 40)), min_size=1, max_size=12)
    return draw(st.integers(1, 30)), draw(st.integers(0, 1000)), draw(blocks)


def judged(window_lines: int, first: int, blocks: list[tuple[int, int]], *, tell_loss: bool) -> list[Item]:
    web = Web(window_lines)
    items: list[Item] = []
    line = first
    for frame_id, (lost, lines) in enumerate(blocks):
        line += lost
        items += web.push(block(line, lines, frame_id, lines_lost=lost if tell_loss else 0))
        line += lines
    items += web.flush()
    assert web.lines_lost == sum(item.lines_lost for item in items)
    return items


def lines_sent(first: int, blocks: list[tuple[int, int]]) -> list[int]:
    sent: list[int] = []
    line = first
    for lost, lines in blocks:
        line += lost
        sent += range(line, line + lines)
        line += lines
    return sent


def valid_lines(window: Frame) -> list[int]:
    shown = numbers(window.image)
    return shown if window.valid is None else [n for n, ok in zip(shown, window.valid, strict=True) if ok]


@given(deliveries(), st.booleans())
def test_the_valid_lines_of_all_windows_are_the_lines_sent(
    delivery: tuple[int, int, list[tuple[int, int]]], tell_loss: bool
) -> None:
    window_lines, first, blocks = delivery
    items = judged(window_lines, first, blocks, tell_loss=tell_loss)
    windows = [item for item in items if isinstance(item, Frame)]
    assert [line for window in windows for line in valid_lines(window)] == lines_sent(first, blocks)


@given(deliveries())
def test_every_line_of_the_span_is_in_one_window_at_its_place(
    delivery: tuple[int, int, list[tuple[int, int]]],
) -> None:
    window_lines, first, blocks = delivery
    items = judged(window_lines, first, blocks, tell_loss=True)
    sent = lines_sent(first, blocks)
    # The web begins with the first block: what it lost before that is nobody's window.
    begin = sent[0] - sent[0] % window_lines
    end = -(-(sent[-1] + 1) // window_lines) * window_lines
    place = begin
    for item in items:
        assert item.first_line == place == item.frame_id * window_lines
        place += window_lines if isinstance(item, Frame) else item.lines_lost
        if isinstance(item, Frame):
            assert len(item.image) == window_lines
            assert (item.valid is None) == (item.lines_lost == 0)
    assert place == end
    assert len(sent) + sum(item.lines_lost for item in items) == end - begin


@given(deliveries())
def test_a_lost_line_shows_the_last_line_before_it(delivery: tuple[int, int, list[tuple[int, int]]]) -> None:
    window_lines, first, blocks = delivery
    items = judged(window_lines, first, blocks, tell_loss=True)
    sent = lines_sent(first, blocks)
    before = dict(zip(sent, sent, strict=True))
    for item in items:
        if isinstance(item, Frame):
            for row, shown in enumerate(numbers(item.image)):
                line = item.first_line + row
                last = line if line in before else max((one for one in sent if one < line), default=sent[0])
                assert shown == last


@given(deliveries(), st.data())
def test_windows_do_not_care_where_blocks_are_cut(
    delivery: tuple[int, int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    window_lines, first, blocks = delivery
    recut = []
    for lost, lines in blocks:
        head = data.draw(st.integers(1, lines))
        recut += [(lost, head)] + ([(0, lines - head)] if lines > head else [])
    one = judged(window_lines, first, blocks, tell_loss=True)
    other = judged(window_lines, first, recut, tell_loss=True)
    for left, right in zip(one, other, strict=True):
        assert (type(left), left.frame_id, left.lines_lost) == (type(right), right.frame_id, right.lines_lost)
        if isinstance(left, Frame) and isinstance(right, Frame):
            assert np.array_equal(left.image, right.image)


@given(deliveries())
def test_the_encoder_of_a_window_is_that_of_its_first_line(
    delivery: tuple[int, int, list[tuple[int, int]]],
) -> None:
    window_lines, first, blocks = delivery
    items = judged(window_lines, first, blocks, tell_loss=True)
    for item in items:
        assert item.encoder in (None, item.first_line * TICKS)
    first_block_end = first + blocks[0][0] + blocks[0][1]
    assert all(
        item.encoder is not None for item in items if item.first_line >= first_block_end or len(blocks) == 0
    )


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30), st.integers(0, 40)), max_size=15),
)
def test_any_coordinates_are_survived_and_every_line_is_accounted_for(
    window_lines: int, blocks: list[tuple[int, int, int]]
) -> None:
    web = Web(window_lines)
    items: list[Item] = []
    for frame_id, (first, lines, lost) in enumerate(blocks):
        items += web.push(block(first, lines, frame_id, lines_lost=lost))
    items += web.flush()
    shown = sum(len(valid_lines(item)) for item in items if isinstance(item, Frame))
    span = sum(window_lines if isinstance(item, Frame) else item.lines_lost for item in items)
    assert shown + sum(item.lines_lost for item in items) == span
    assert shown + web.lines_repeated <= sum(lines for _, lines, _ in blocks)
    for item in items:
        if isinstance(item, Frame):
            place = range(item.first_line, item.first_line + window_lines)
            assert set(valid_lines(item)) <= set(place)
