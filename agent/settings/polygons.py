"""Whether a polygon is one: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Corner: TypeAlias = tuple[float, float]
Edge: TypeAlias = tuple[Corner, Corner]

LEAST = 1e-9  # of the square of the larger side: below it is rounding


def fault_of(corners: Sequence[Corner]) -> str | None:
    """What is wrong with it, and what to do; None for a polygon with an area whose edges do not cross.

    Edges may touch, as those of a ring that is cut open do.
    """
    xs, ys = zip(*corners, strict=True)
    least = LEAST * max(max(xs) - min(xs), max(ys) - min(ys)) ** 2
    edges = [*zip(corners, (*corners[1:], corners[0]), strict=True)]
    ordered = sorted((edge for edge in edges if edge[0] != edge[1]), key=_left)
    for number, edge in enumerate(ordered):
        right = max(edge[0][0], edge[1][0])
        for other in ordered[number + 1 :]:
            if _left(other) >= right:
                break
            if _cross(edge, other, least):
                return (
                    f"the edge from {_told(edge[0])} to {_told(edge[1])} crosses that from {_told(other[0])}"
                    f" to {_told(other[1])}; give the corners in their order round the region, or two regions"
                )
    x, y = corners[0]
    area = sum((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y) for (x1, y1), (x2, y2) in edges) / 2
    if abs(area) <= least:
        return "its corners lie on one line or on one spot, and it ignores nothing; move them or remove it"
    return None


def _left(edge: Edge) -> float:
    return min(edge[0][0], edge[1][0])


def _cross(one: Edge, other: Edge, least: float) -> bool:
    """Whether each has the ends of the other on both sides."""
    return _parts(one, other, least) and _parts(other, one, least)


def _parts(edge: Edge, other: Edge, least: float) -> bool:
    (x, y), (x2, y2) = edge
    across, down = x2 - x, y2 - y
    first, second = (across * (end[1] - y) - down * (end[0] - x) for end in other)
    return (first > least and second < -least) or (first < -least and second > least)


def _told(corner: Corner) -> str:
    return f"({corner[0]:g}, {corner[1]:g})"
