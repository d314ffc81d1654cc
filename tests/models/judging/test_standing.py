"""A model is held against the yardstick on the same pictures, with defects that chose nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

from agent.engines.engine import Answer
from agent.messages import Pixels
from models.data.datasets import Item
from models.judging import standing as file
from models.judging.standing import UNSEEN, on_unseen, standing
from models.judging.yardstick import Built
from tests.models.judging.conftest import SPEC


def blind(tiles: Pixels) -> Answer:
    """Scores that have nothing to do with defects: the light of the tile."""
    scores = tiles.mean((1, 2, 3)).astype(np.float32)
    return Answer(scores=scores, maps=np.zeros((len(tiles), 2, 2), np.float32), restored=tiles)


@pytest.mark.slow
def test_a_blind_model_is_held_against_the_yardstick_on_the_same_pictures(
    good: tuple[list[Item], list[Item]], built: Built
) -> None:
    kept, held = good
    found = on_unseen(blind, built.yardstick, kept, held, SPEC)
    assert found.model_auroc < 0.65
    assert found.model_auroc < found.yardstick_auroc
    low, high = found.difference
    assert low < found.model_auroc - found.yardstick_auroc < high
    assert found.source == UNSEEN
    assert found.good == len(held)
    assert found.defective >= 40  # now and then nothing shows
    assert found.strides == built.yardstick.strides


@pytest.mark.slow
def test_the_yardstick_beside_itself_is_not_worse(good: tuple[list[Item], list[Item]], built: Built) -> None:
    kept, held = good
    found = on_unseen(built.yardstick.inspect, built.yardstick, kept, held, SPEC)
    assert found.difference == (0, 0)
    assert not found.is_worse


def test_a_model_that_ranks_far_better_is_told_so() -> None:
    labels = np.arange(60) >= 30
    right = labels.astype(np.float32) + np.linspace(0, 0.1, 60, dtype=np.float32)
    found = standing(labels, right, -right, (32,), "test pictures")
    assert (found.model_auroc, found.yardstick_auroc) == (1, 0)
    assert found.words().startswith("ranks better than a plain memory")


def test_the_defects_are_not_those_that_chose_the_strides(
    good: tuple[list[Item], list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def drawing(held: object, kept: object, spec: object, count: int, seed: int) -> list[Pixels]:
        seeds.append(seed)
        raise InterruptedError

    monkeypatch.setattr(file, "spoilt_twins", drawing)
    with pytest.raises(InterruptedError):
        on_unseen(blind, None, *good, SPEC)  # type: ignore[arg-type]
    assert seeds == [file.TWINS_SEED] != [0]
