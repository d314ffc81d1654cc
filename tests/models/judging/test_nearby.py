"""A threshold promises for parts as the line may show them, not for just those that were held back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agent.engines.engine import Answer
from agent.messages import Pixels
from models.data.datasets import Item
from models.judging.evaluate import judge_item
from models.judging.nearby import STATES, nearby_scores
from models.parts.variation import SHIFT_PX, at_exposure, out_of_focus, shifted
from tests.models.judging.conftest import SPEC


def scoring(see: Callable[[Pixels], float]) -> Callable[[Pixels], Answer]:
    """A model that scores each tile by `see`."""

    def inspect(tiles: Pixels) -> Answer:
        scores = np.array([see(tile.astype(np.float32)) for tile in tiles], np.float32)
        return Answer(scores=scores, maps=np.zeros((len(tiles), 2, 2), np.float32), restored=tiles)

    return inspect


@pytest.mark.parametrize(
    ("see", "state"),
    [
        (lambda tile: -tile.mean(), 1),  # darker
        (lambda tile: tile.mean(), 2),  # brighter
        (lambda tile: -np.abs(np.diff(tile, axis=0)).mean(), 3),  # out of focus
    ],
)
def test_each_state_is_one_that_a_model_may_mind(
    good: tuple[list[Item], list[Item]], see: Callable[[Pixels], float], state: int
) -> None:
    scores = nearby_scores(good[1], scoring(see), SPEC)
    assert scores.shape == (len(good[1]), 1 + len(STATES))
    assert (scores.argmax(1) == state).all()


def test_the_first_score_is_of_the_part_as_it_is(good: tuple[list[Item], list[Item]]) -> None:
    inspect = scoring(lambda tile: tile.max())
    as_it_is = [judge_item(item, inspect, SPEC).score for item in good[1]]
    assert np.array_equal(nearby_scores(good[1], inspect, SPEC)[:, 0], np.array(as_it_is, np.float32))


def test_no_good_part_makes_no_score() -> None:
    assert nearby_scores([], scoring(lambda tile: tile.max()), SPEC).shape == (0, 1 + len(STATES))


def test_a_part_in_another_state_is_the_same_part() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 1), np.uint8)
    assert np.array_equal(shifted(picture)[SHIFT_PX:, SHIFT_PX:], picture[:-SHIFT_PX, :-SHIFT_PX])
    assert at_exposure(np.array([[[100], [250]]], np.uint8), 1.1).ravel().tolist() == [110, 255]
    assert np.array_equal(at_exposure(picture, 1.0), picture)
    blurred = out_of_focus(picture)
    assert abs(float(blurred.mean()) - float(picture.mean())) < 2
    assert blurred.std() < 0.5 * picture.std()
    for change in STATES:
        assert change(picture).shape == picture.shape
