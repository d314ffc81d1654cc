"""What lies in a region to ignore counts for nothing, and everything else for what it did before."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.bundle import InputSpec
from agent.clock import ManualClock
from agent.line.ignore import Ignore, NothingLeftError, _mask, inside, leave_out
from agent.line.infer import infer
from agent.line.judge import judge
from agent.line.prepare import prepare
from agent.messages import Flags, Inspection, Pixels, Prepared
from tests.agent.line.recipes import rules
from tests.fakes import STRIDE_PX, FakeEngine, bad_picture, frame, good_picture

Polygon: TypeAlias = tuple[tuple[float, float], ...]

corners = st.tuples(st.integers(-8, 72), st.integers(-8, 72)).map(lambda xy: (float(xy[0]), float(xy[1])))
polygons = st.lists(corners, min_size=3, max_size=8).map(tuple)


def box(x: float, y: float, width: float, height: float) -> Polygon:
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def is_inside(polygon: Polygon, x: float, y: float) -> bool:
    """A ray to the left meets the outline an odd number of times."""
    met = 0
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y1 <= y) != (y2 <= y) and x1 + (y - y1) * ((x2 - x1) / (y2 - y1)) <= x:
            met += 1
    return met % 2 == 1


@given(polygons)
def test_points_are_inside_by_the_even_odd_rule(polygon: Polygon) -> None:
    xs, ys = np.arange(0, 64, 3.7), np.arange(0, 64, 2.9)
    found = inside(polygon, xs, ys)
    assert found.tolist() == [[is_inside(polygon, x, y) for x in xs] for y in ys]


def prepared(picture: Pixels, *, tile_px: int = 32, overlap_px: int = 4, scale: float = 1.0) -> Prepared:
    spec = InputSpec(channels=1, tile_px=tile_px, overlap_px=overlap_px, scale=scale)
    return prepare(frame(0, picture), spec, ManualClock())


def mask_of(found: Prepared, *regions: Polygon, first_line: int = 0) -> Flags:
    return _mask(regions, found.shape, found.scale, STRIDE_PX, first_line)


@given(polygons, st.sampled_from([(30, 50), (64, 64), (33, 47)]), st.sampled_from([0.5, 1.0, 1.3]))
def test_a_cell_is_left_out_when_the_middle_of_what_the_frame_has_of_it_lies_inside(
    polygon: Polygon, shape: tuple[int, int], scale: float
) -> None:
    found = prepared(good_picture(*shape), scale=scale)
    mask = mask_of(found, polygon)
    for row, column in np.ndindex(*mask.shape):
        middles = [
            (cell * STRIDE_PX + min((cell + 1) * STRIDE_PX, side)) / 2 / scale
            for cell, side in zip((row, column), found.shape, strict=True)
        ]
        assert mask[row, column] == is_inside(polygon, middles[1], middles[0])


def test_a_region_of_a_part_lies_in_the_piece_of_it_that_shows_it() -> None:
    found = prepared(good_picture(32, 32))
    assert not mask_of(found, box(0, 32, 32, 8)).any()
    assert mask_of(found, box(0, 32, 32, 8), first_line=32).nonzero()[0].tolist() == [0] * 8 + [1] * 8


def test_regions_that_leave_nothing_are_refused() -> None:
    found = prepared(good_picture(32, 32))
    mask, top = Ignore(polygons=(box(0, 0, 32, 30),), top=4).cells(found, STRIDE_PX, first_line=1)
    assert (mask.sum(), top) == (56, 4)
    with pytest.raises(NothingLeftError, match="cover the whole frame"):
        Ignore(polygons=(box(0, 0, 32, 32),), top=4).cells(found, STRIDE_PX)


def seen(picture: Pixels, *regions: Polygon, top: int = 4) -> Inspection:
    found = prepared(picture)
    without = (mask_of(found, *regions), top) if regions else None
    return infer(found, FakeEngine(), ManualClock(), without=without)


grey = st.integers(0, 255)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), grey), max_size=6), polygons)
def test_scores_and_map_are_those_of_the_cells_that_are_left(
    spots: list[tuple[int, int, int]], region: Polygon
) -> None:
    """The plain twin goes through the cells one by one."""
    picture = good_picture(64, 64)
    for row, column, value in spots:
        picture[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = value
    before, after = seen(picture), seen(picture, region)
    found = prepared(picture)
    mask = mask_of(found, region)
    assert np.array_equal(after.evidence[~mask], before.evidence[~mask])
    assert not after.evidence[mask].any()
    maps = FakeEngine().run(found.tiles).maps
    for number, (x, y) in enumerate(found.origins):
        left, touched = [], False
        for row, column in np.ndindex(*maps.shape[1:]):
            cell = min(-(-y // 4) + row, 15), min(-(-x // 4) + column, 15)
            if mask[cell]:
                touched = True
            else:
                left.append(float(maps[number][row, column]))
        expected = np.mean(sorted(left)[-4:]) if left else 0.0
        if not touched:
            expected = before.scores[number]
        assert after.scores[number] == pytest.approx(expected, abs=1e-6)


def test_a_defect_inside_a_region_passes_and_one_outside_fails_as_before() -> None:
    one = frame(0, bad_picture(64, 64, spots=((8, 12, 8, 4), (40, 40, 8, 8))))
    judged_by = rules()
    both = judge(one, seen(np.asarray(one.image, np.uint8)), judged_by)
    assert (both.verdict, len(both.defects)) == ("fail", 2)
    rest = judge(one, seen(np.asarray(one.image, np.uint8), box(4, 8, 16, 12)), judged_by)
    assert (rest.verdict, [defect.bbox_px for defect in rest.defects]) == ("fail", [(40, 40, 8, 8)])
    assert rest.peak_px is not None and rest.peak_px[0] >= 40
    none = judge(
        one, seen(np.asarray(one.image, np.uint8), box(4, 8, 16, 12), box(36, 36, 16, 16)), judged_by
    )
    assert (none.verdict, none.defects) == ("pass", ())


def test_beyond_the_edge_of_a_small_frame_what_repeats_an_ignored_border_is_ignored() -> None:
    picture = good_picture(20, 20)
    picture[:, 16:] = 255
    assert seen(picture).scores.max() == pytest.approx(1.0)
    assert seen(picture, box(16, 0, 4, 20)).scores.max() == pytest.approx(20 / 255, abs=1e-6)


def test_what_is_no_number_stays_none() -> None:
    found = prepared(good_picture(32, 32))
    maps = np.full((1, 8, 8), np.nan, np.float32)
    mask = mask_of(found, box(0, 0, 8, 8))
    scores, _ = leave_out(np.full(1, np.nan, np.float32), maps, found, mask, 4)
    assert np.isnan(scores).all()


def test_nothing_is_written_into_what_the_engine_gave() -> None:
    found = prepared(bad_picture(32, 32))
    answer = FakeEngine().run(found.tiles)
    scores, maps = answer.scores.copy(), answer.maps.copy()
    leave_out(answer.scores, answer.maps, found, mask_of(found, box(0, 0, 32, 31)), 4)
    assert np.array_equal(answer.scores, scores) and np.array_equal(answer.maps, maps)
