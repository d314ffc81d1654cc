"""Detection figures equal their definitions, whatever ties, scales and shapes the maps have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from agent.messages import Flags, Floats
from models import metrics

SHAPE = (3, 6, 7)
MASKS = arrays.arrays(np.bool_, SHAPE, fill=st.just(False)).filter(lambda mask: mask.any() and not mask.all())
MAPS = arrays.arrays(np.float32, SHAPE, elements=st.integers(0, 12).map(float))  # many ties


def brute_aupro(masks: Flags, maps: Floats, limit: float) -> float:
    """Straight from the definition: one point for every threshold, regions by 8 neighbours."""
    regions = []
    for picture, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(picture, labels == label) for label in range(1, count + 1)]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        hot = maps >= threshold
        overlap = np.mean([hot[picture][region].mean() for picture, region in regions])
        points.append((float(hot[~masks].mean()), float(overlap)))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit:
            break
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


@given(masks=MASKS, maps=MAPS, limit=st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_equals_its_definition(masks: Flags, maps: Floats, limit: float) -> None:
    assert metrics.aupro(list(masks), list(maps), limit) == pytest.approx(brute_aupro(masks, maps, limit))


@given(masks=MASKS, maps=MAPS)
def test_no_growing_rescaling_changes_aupro(masks: Flags, maps: Floats) -> None:
    before = metrics.aupro(list(masks), list(maps))
    for rescaled in (np.exp(maps), maps * 0.001 - 5, maps**3):
        assert metrics.aupro(list(masks), list(rescaled.astype(np.float32))) == pytest.approx(before)


@given(masks=MASKS)
def test_a_perfect_map_has_aupro_1_and_its_opposite_0(masks: Flags) -> None:
    assert metrics.aupro(list(masks), list(masks.astype(np.float32))) == pytest.approx(1.0)
    assert metrics.aupro(list(masks), list(-masks.astype(np.float32))) == pytest.approx(0.0)


@given(masks=MASKS, maps=MAPS, order=st.permutations(range(SHAPE[0])))
def test_the_order_of_pictures_does_not_matter(masks: Flags, maps: Floats, order: list[int]) -> None:
    assert metrics.aupro(list(masks[order]), list(maps[order])) == pytest.approx(
        metrics.aupro(list(masks), list(maps))
    )


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    mask = np.zeros((10, 10), np.bool_)
    mask[0, 0] = True
    mask[5:, 5:] = True
    found_small, found_large = (np.zeros((10, 10), np.float32) for _ in range(2))
    found_small[0, 0] = 1
    found_large[5:, 5:] = 1
    assert metrics.aupro([mask], [found_small]) == pytest.approx(metrics.aupro([mask], [found_large]))


def test_diagonal_neighbours_are_one_region() -> None:
    mask = np.eye(4, dtype=np.bool_)
    mask[0, 3] = True  # not a neighbour of the diagonal: a region of its own
    map_ = np.zeros((4, 4), np.float32)
    map_[0, 3] = 1.0
    # One of two regions found before any false alarm; of five, were only sides to count, a fifth.
    expected = 0.5 + 0.5 * 0.3 / 2
    assert metrics.aupro([mask], [map_]) == pytest.approx(expected)


def test_masks_without_any_region_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one defect region"):
        metrics.aupro([np.zeros((2, 2), np.bool_)], [np.zeros((2, 2), np.float32)])


LABELS = arrays.arrays(np.bool_, 20).filter(lambda labels: labels.any() and not labels.all())
SCORES = arrays.arrays(np.float32, 20, elements=st.integers(0, 6).map(float))


@given(labels=LABELS, scores=SCORES)
def test_auroc_is_the_chance_that_a_defect_scores_higher_with_ties_half(
    labels: Flags, scores: Floats
) -> None:
    differences = scores[labels][:, None] - scores[~labels][None, :]
    expected = (differences > 0).mean() + 0.5 * (differences == 0).mean()
    assert metrics.auroc(labels, scores) == pytest.approx(expected)


@given(labels=LABELS, scores=SCORES)
def test_ap_and_f1max_equal_their_definitions(labels: Flags, scores: Floats) -> None:
    best, area, recall_before = 0.0, 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        hot = scores >= threshold
        precision, recall = labels[hot].mean(), (hot & labels).sum() / labels.sum()
        area += (recall - recall_before) * precision
        recall_before = recall
        if precision + recall > 0:
            best = max(best, 2 * precision * recall / (precision + recall))
    assert metrics.average_precision(labels, scores) == pytest.approx(area)
    assert metrics.f1_max(labels, scores) == pytest.approx(best)
