"""Detection figures equal their definitions, whatever ties, scales and shapes the maps have."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from agent.messages import Flags, Floats
from models.judging import metrics

SHAPE = (3, 6, 7)
MASKS = arrays.arrays(np.bool_, SHAPE, fill=st.just(False)).filter(lambda mask: mask.any() and not mask.all())
MAPS = arrays.arrays(np.float32, SHAPE, elements=st.integers(0, 12).map(float))  # many ties


def sklearn_f1_max(labels: Flags, scores: Floats) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    both = precision + recall
    return float(np.max(np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)))


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


def test_two_diagonal_pixels_count_as_one_region() -> None:
    mask = np.zeros((5, 5), np.bool_)
    mask[1, 1] = mask[2, 2] = mask[4, 0] = True
    map_ = mask.astype(np.float32)
    map_[2, 2] = -1  # half of one region of two is missed until the very end
    assert metrics.aupro([mask], [map_]) == pytest.approx(0.75)


def test_overlap_is_interpolated_where_no_score_lies_at_the_limit() -> None:
    mask = np.zeros((1, 6), np.bool_)
    mask[0, 0] = True
    tied = np.array(
        [[1, 1, 1, 0, 0, 0]], np.float32
    )  # the curve: straight from (0, 0) to (0.4, 1), then to (1, 1)
    assert metrics.aupro([mask], [tied]) == pytest.approx(0.3 / 0.4 / 2)


@given(masks=MASKS, maps=MAPS)
def test_figures_of_pixels_are_those_of_scikit_learn(masks: Flags, maps: Floats) -> None:
    found = metrics.pixel_figures(list(masks), list(maps))
    flat, scores = masks.ravel(), maps.ravel()
    assert found.auroc == pytest.approx(roc_auc_score(flat, scores))
    assert found.ap == pytest.approx(average_precision_score(flat, scores))
    assert found.f1_max == pytest.approx(sklearn_f1_max(flat, scores))
    assert found.aupro == pytest.approx(brute_aupro(masks, maps, 0.3))


def test_figures_of_many_pixels_are_those_of_scikit_learn() -> None:
    masks, maps = faint_squares(np.random.default_rng(0))
    found = metrics.pixel_figures(masks, maps)
    flat, scores = np.concatenate(masks, None), np.concatenate(maps, None)
    assert found.auroc == pytest.approx(roc_auc_score(flat, scores), abs=1e-9)
    assert found.ap == pytest.approx(average_precision_score(flat, scores), abs=1e-9)
    assert found.f1_max == pytest.approx(sklearn_f1_max(flat, scores), abs=1e-9)


@given(masks=MASKS)
def test_a_perfect_map_has_1_in_every_figure(masks: Flags) -> None:
    found = metrics.pixel_figures(list(masks), list(masks.astype(np.float32)))
    assert (found.auroc, found.ap, found.f1_max, found.aupro) == pytest.approx((1, 1, 1, 1))


@given(masks=MASKS)
def test_a_constant_map_knows_only_how_common_defects_are(masks: Flags) -> None:
    found = metrics.pixel_figures(list(masks), list(np.full(SHAPE, 0.7, np.float32)))
    share = masks.mean()
    assert (found.auroc, found.ap, found.aupro) == pytest.approx((0.5, share, 0.15))
    assert found.f1_max == pytest.approx(2 * share / (1 + share))


def test_a_random_map_is_as_good_as_a_constant_one() -> None:
    rng = np.random.default_rng(1)
    masks, _ = faint_squares(rng)
    found = metrics.pixel_figures(masks, [rng.random(mask.shape, np.float32) for mask in masks])
    assert found.auroc == pytest.approx(0.5, abs=0.02)
    assert found.aupro == pytest.approx(0.15, abs=0.01)


def test_heavy_tails_change_no_figure() -> None:
    masks, maps = faint_squares(np.random.default_rng(2))
    before = metrics.pixel_figures(masks, maps)
    after = metrics.pixel_figures(masks, [np.exp(3 * map_.astype(np.float64)) for map_ in maps])
    assert (after.auroc, after.ap, after.f1_max, after.aupro) == pytest.approx(
        (before.auroc, before.ap, before.f1_max, before.aupro)
    )


def test_quiet_good_pictures_raise_what_false_alarms_are_a_share_of() -> None:
    masks, maps = faint_squares(np.random.default_rng(3))
    before = metrics.pixel_figures(masks, maps)
    quiet = [np.full_like(map_, map_.min()) for map_ in maps]
    after = metrics.pixel_figures([*masks, *(np.zeros_like(mask) for mask in masks)], [*maps, *quiet])
    assert after.auroc > before.auroc
    assert after.aupro > before.aupro
    assert after.ap == pytest.approx(before.ap)


def test_a_large_split_needs_little_more_memory_than_its_maps() -> None:
    masks, maps = faint_squares(np.random.default_rng(4), count=24)
    in_all = sum(map_.nbytes for map_ in maps)
    tracemalloc.start()
    metrics.pixel_figures(masks, maps)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * in_all  # scikit-learn needs 19 times as much


def test_the_curve_runs_from_0_0_to_1_1_and_never_falls() -> None:
    rates, overlaps = metrics.rank(*faint_squares(np.random.default_rng(5))).curve
    assert (rates[0], overlaps[0]) == (0, 0)
    assert (rates[-1], overlaps[-1]) == pytest.approx((1, 1))
    assert (np.diff(rates) >= 0).all()
    assert (np.diff(overlaps) >= 0).all()


@pytest.mark.parametrize("place", [(0, 0), (3, 3)])
def test_scores_that_are_no_numbers_are_refused(place: tuple[int, int]) -> None:
    mask, map_ = np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.float32)
    mask[0, 0] = True
    map_[place] = np.nan
    with pytest.raises(ValueError, match="no numbers"):
        metrics.pixel_figures([mask], [map_])


def test_masks_without_any_good_pixel_are_refused() -> None:
    with pytest.raises(ValueError, match="one good pixel"):
        metrics.pixel_figures([np.ones((2, 2), np.bool_)], [np.zeros((2, 2), np.float32)])


def faint_squares(rng: np.random.Generator, count: int = 8) -> tuple[list[Flags], list[Floats]]:
    """Pictures of 128 x 128, every second one with squares that its map shows faintly; values tie."""
    masks, maps = [], []
    for index in range(count):
        mask = np.zeros((128, 128), np.bool_)
        for x, y in rng.integers(0, 112, (2 * (index % 2), 2)):
            mask[y : y + 12, x : x + 12] = True
        masks.append(mask)
        maps.append(np.round(rng.normal(0, 1, mask.shape) + 1.5 * mask, 2).astype(np.float32))
    return masks, maps


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


@given(labels=LABELS, scores=SCORES)
def test_figures_and_curves_of_pictures_are_those_of_scikit_learn(labels: Flags, scores: Floats) -> None:
    assert metrics.auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert metrics.average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))
    assert metrics.f1_max(labels, scores) == pytest.approx(sklearn_f1_max(labels, scores))
    hits, alarms = metrics.levels(labels, scores)
    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert [0, *alarms / alarms[-1]] == pytest.approx(false_positive)
    assert [0, *hits / hits[-1]] == pytest.approx(true_positive)


@pytest.mark.parametrize("only", [True, False])
def test_pictures_of_one_kind_have_no_figures(only: bool) -> None:
    for figure in (metrics.auroc, metrics.average_precision, metrics.f1_max):
        with pytest.raises(ValueError, match="good and defective ones"):
            figure(np.full(3, only), np.arange(3, dtype=np.float32))


def test_pictures_whose_scores_are_no_numbers_have_no_figures() -> None:
    with pytest.raises(ValueError, match="no number"):
        metrics.auroc(np.array([True, False]), np.array([np.nan, 1], np.float32))
