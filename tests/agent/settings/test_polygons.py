"""A polygon that has no inside, or crosses itself, is told from one that is drawn well."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings.polygons import fault_of

Polygon: TypeAlias = tuple[tuple[float, float], ...]

corners = st.tuples(st.integers(-30, 30), st.integers(-30, 30))
polygons = st.lists(corners, min_size=3, max_size=9).map(tuple)


@st.composite
def drawn_well(draw: st.DrawFn) -> Polygon:
    """Corners round a middle, all of them in order of their angle and on every side of it."""
    count = draw(st.integers(3, 64))
    angles = [math.tau * number / count for number in range(count)]
    reach = [draw(st.floats(1, 4000)) for _ in angles]
    x, y = draw(st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)))
    found = [(x + r * math.cos(a), y + r * math.sin(a)) for a, r in zip(angles, reach, strict=True)]
    return tuple(reversed(found)) if draw(st.booleans()) else tuple(found)


def side(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (turn > 0) - (turn < 0)


@given(polygons)
def test_a_polygon_of_whole_numbers_is_judged_as_arithmetic_says(
    polygon: tuple[tuple[int, int], ...],
) -> None:
    edges = [*zip(polygon, (*polygon[1:], polygon[0]), strict=True)]
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in edges)
    crosses = any(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for (a, b), (c, d) in combinations(edges, 2)
    )
    found = fault_of(polygon)
    assert (found is None) == (area != 0 and not crosses)
    assert ("crosses" in (found or "")) == crosses


@given(drawn_well())
def test_corners_in_their_order_are_good_in_either_direction(polygon: Polygon) -> None:
    assert fault_of(polygon) is None
    assert fault_of((*polygon, polygon[0])) is None, "a first corner that is said again closes it"


@given(polygons, st.sampled_from([0.1, 0.37, 1000.0]), st.floats(-1e5, 1e5))
def test_a_fault_stays_one_wherever_it_lies_and_however_large_it_is(
    polygon: tuple[tuple[int, int], ...], scale: float, away: float
) -> None:
    moved = tuple((x * scale + away, y * scale - away) for x, y in polygon)
    assert (fault_of(moved) is None) == (fault_of(polygon) is None)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        (((0, 0), (0.1, 0.1), (0.3, 0.3)), "its corners lie on one line"),
        (((5, 5), (5, 5), (5, 5)), "its corners lie on one line or on one spot"),
        (
            ((0, 0), (9, 9), (9, 0), (0, 9)),
            "the edge from (0, 0) to (9, 9) crosses that from (9, 0) to (0, 9)",
        ),
    ],
)
def test_a_fault_is_told_with_what_to_do(polygon: Polygon, words: str) -> None:
    found = fault_of(polygon)
    assert found is not None and words in found and ";" in found


def test_a_ring_that_is_cut_open_is_good() -> None:
    ring = ((0, 0), (9, 0), (9, 9), (0, 9), (0, 0), (3, 3), (3, 6), (6, 6), (6, 3), (3, 3))
    assert fault_of(ring) is None
