"""A defect anywhere on an endless web is one defect with its box, and every window keeps its one record."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.seams import mosaic, regions
from agent.line.spans import Spans, Window
from agent.line.tiles import cut, plan
from agent.messages import Floats, Judgement, Pixels

TILE, STRIDE, OVERLAP = 32, 4, 8
THRESHOLD = 0.5


def judged(
    evidence: Floats, number: int, *, lines: int, stride: int, failed: bool | None = None
) -> Window[int]:
    """A window as the line makes it; it fails where it has evidence, or as told."""
    failed = bool((evidence >= THRESHOLD).any()) if failed is None else failed
    return Window(
        first_line=number * lines,
        lines=lines,
        judgement=Judgement(
            verdict="fail" if failed else "pass", reason=None, score=0.0, threshold=THRESHOLD, defects=()
        ),
        regions=regions(
            evidence,
            THRESHOLD,
            stride=stride,
            scale=1.0,
            frame_shape=(lines, evidence.shape[1] * stride),
        ),
        content=number,
    )


def seen(picture: Pixels) -> Floats:
    """The map of a window as infer makes it, from tiles whose cells show their strongest pixel."""
    origins = plan(*picture.shape[:2], TILE, OVERLAP)
    tiles = cut(picture, origins, TILE)[..., 0].astype(np.float32) / 255
    cells = TILE // STRIDE
    maps = tiles.reshape(len(tiles), cells, STRIDE, cells, STRIDE).max(axis=(2, 4))
    return mosaic(maps, origins, TILE, (picture.shape[0], picture.shape[1]))


def named(spans: Spans[int], windows: list[Window[int]]) -> dict[int, Judgement]:
    released = [one for window in windows for one in spans.push(window)] + spans.flush()
    assert [number for number, _ in released] == [window.content for window in windows]
    return dict(released)


@pytest.mark.parametrize("lines", [48, 50])  # in cells of the map, and not
@pytest.mark.parametrize("high", [1, 5, 60])
def test_a_defect_at_every_offset_of_the_web_is_one_defect_with_its_box(high: int, lines: int) -> None:
    for top in range(4 * lines - high):
        web = np.zeros((4 * lines, 40, 1), np.uint8)
        web[top : top + high, 13:22] = 255
        windows = [
            judged(seen(web[n * lines : (n + 1) * lines]), n, lines=lines, stride=STRIDE) for n in range(4)
        ]
        spans: Spans[int] = Spans(max_windows=4, min_area_px=1)
        found = [(n, d) for n, one in named(spans, windows).items() for d in one.defects]
        assert len(found) == 1, (top, found)
        number, defect = found[0]
        x, y, width, height = defect.bbox_web or (
            defect.bbox_px[0],
            number * lines + defect.bbox_px[1],
            *defect.bbox_px[2:],
        )
        assert number == top // lines
        # Boxes are whole cells; a tile that starts between cells is drawn up to a cell late.
        late = STRIDE - 1 if lines % STRIDE else 0
        assert top - 2 * STRIDE < y <= top + late, (top, defect)
        assert top + high - late <= y + height < top + high + 2 * STRIDE, (top, defect)
        assert 13 - 2 * STRIDE < x <= 13 and 22 <= x + width < 22 + 2 * STRIDE


@st.composite
def webs(draw: st.DrawFn) -> tuple[Floats, int]:
    lines, windows, width = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 9))
    seed, share = draw(st.integers(0, 2**20)), draw(st.sampled_from([0.2, 0.4, 0.6]))
    hot = np.random.default_rng(seed).random((lines * windows, width)) < share
    return np.where(hot, 0.9, 0.1).astype(np.float32), lines


@given(webs())
def test_joined_windows_have_the_defects_of_the_whole_web(one: tuple[Floats, int]) -> None:
    web, lines = one
    cuts = web.reshape(-1, lines, web.shape[1])
    windows = [judged(part, n, lines=lines, stride=1, failed=True) for n, part in enumerate(cuts)]
    spans: Spans[int] = Spans(max_windows=99, min_area_px=1)
    found = sorted(
        (d.bbox_web or (d.bbox_px[0], n * lines + d.bbox_px[1], *d.bbox_px[2:]), d.area_px)
        for n, judgement in named(spans, windows).items()
        for d in judgement.defects
    )
    hot = (web >= THRESHOLD).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    assert found == sorted((tuple(row[:4].tolist()), int(row[4])) for row in stats[1:])


@given(webs(), st.integers(1, 4), st.data())
def test_every_window_comes_out_once_in_order_within_the_cap_and_keeps_its_verdict(
    one: tuple[Floats, int], max_windows: int, data: st.DataObject
) -> None:
    web, lines = one
    cuts = web.reshape(-1, lines, web.shape[1])
    spans: Spans[int] = Spans(max_windows=max_windows, min_area_px=1)
    out: list[int] = []
    for number, part in enumerate(cuts):
        window = judged(part, number, lines=lines, stride=1, failed=data.draw(st.booleans()))
        for released, judgement in spans.push(window):
            out.append(released)
            assert judgement.verdict == "fail" or judgement.defects == ()
            boxes = [defect.bbox_web for defect in judgement.defects if defect.bbox_web]
            assert all(box[3] <= max_windows * lines for box in boxes)
        assert number + 1 - len(out) < max_windows
    out += [released for released, _ in spans.flush()]
    assert out == list(range(len(cuts)))


def windows_of(rows: list[list[float]], failed: list[bool]) -> list[Window[int]]:
    return [
        judged(np.array([row], np.float32), n, lines=1, stride=1, failed=fail)
        for n, (row, fail) in enumerate(zip(rows, failed, strict=True))
    ]


def test_a_defect_is_named_in_its_first_failed_window_and_the_others_say_where() -> None:
    rows = [[0.0, 0.6], [0.0, 0.9], [0.8, 0.0], [0.0, 0.0]]
    found = named(Spans(max_windows=8, min_area_px=1), windows_of(rows, [False, True, True, False]))
    (defect,) = found[1].defects
    assert (defect.bbox_px, defect.bbox_web, defect.area_px) == ((1, 0, 1, 1), (0, 0, 2, 3), 3)
    assert defect.score == pytest.approx(0.9) and defect.centroid_px == pytest.approx((2 / 3, 0.0))
    assert (found[0].defects, found[0].continued_from_line) == ((), None)
    assert (found[2].defects, found[2].continued_from_line) == ((), 1)
    assert found[1].continued_from_line is None


def test_a_window_waits_only_while_a_defect_that_it_names_is_open() -> None:
    spans: Spans[int] = Spans(max_windows=8, min_area_px=1)
    passed, failed, after = windows_of([[0.6], [0.9], [0.0]], [False, True, False])
    assert [n for n, _ in spans.push(passed)] == [0]
    assert spans.push(failed) == []
    assert [n for n, _ in spans.push(after)] == [1, 2]


def test_a_gap_in_the_web_ends_a_defect() -> None:
    spans: Spans[int] = Spans(max_windows=8, min_area_px=1)
    one, _, other = windows_of([[0.9], [0.9], [0.9]], [True] * 3)
    assert spans.push(one) == []
    assert [(n, len(j.defects)) for n, j in spans.push(other)] == [(0, 1)]
    assert [(n, len(j.defects)) for n, j in spans.flush()] == [(2, 1)]


def test_the_whole_counts_for_the_smallest_area() -> None:
    rows = [[0.9, 0.0, 0.0], [0.9, 0.0, 0.9]]
    found = named(Spans(max_windows=8, min_area_px=2), windows_of(rows, [True, True]))
    assert [defect.area_px for defect in found[0].defects] == [2]
    assert found[1].defects == () and found[1].continued_from_line == 0
