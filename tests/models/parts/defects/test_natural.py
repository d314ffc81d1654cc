"""The defects that no training sees: labelled where pixels changed, inside the part, and truly kept aside."""

from __future__ import annotations

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from agent.messages import Pixels
from models.parts.defects import anomalies, natural
from models.parts.defects.anomalies import CHANGED_GREY_LEVELS, spoil
from models.parts.defects.natural import spoil_unseen
from tests.models.tiny import woven

SEEDS = st.integers(0, 2**31)
SIZES = st.sampled_from([(64, 64, 1), (64, 64, 3), (48, 96, 1), (96, 20, 3), (9, 40, 1)])
WHERE_LEARNED = ("data", "methods", "parts", "student", "training")


def parts(shape: tuple[int, int, int], seed: int) -> tuple[Pixels, Pixels]:
    one, other = np.random.default_rng(seed).integers(0, 256, (2, *shape), np.uint8)
    return one, other


@given(shape=SIZES, seed=SEEDS)
def test_a_label_says_exactly_where_pixels_moved_visibly(shape: tuple[int, int, int], seed: int) -> None:
    image, other = parts(shape, seed)
    spoilt, mask = spoil_unseen(image, other, np.random.default_rng(seed))
    assert (spoilt.shape, spoilt.dtype) == (image.shape, np.uint8)
    assert (mask.shape, mask.dtype) == (image.shape[:2], np.bool_)
    moved = np.abs(spoilt.astype(int) - image.astype(int)).max(2)
    assert np.array_equal(mask, moved >= CHANGED_GREY_LEVELS)


@given(shape=SIZES, seed=SEEDS)
def test_nothing_outside_the_foreground_changes(shape: tuple[int, int, int], seed: int) -> None:
    image, other = parts(shape, seed)
    foreground = np.zeros(shape[:2], np.bool_)
    foreground[4:40, 6:44] = True
    spoilt, mask = spoil_unseen(image, other, np.random.default_rng(seed), foreground=foreground)
    assert np.array_equal(spoilt[~foreground], image[~foreground])
    assert not mask[~foreground].any()


@given(seed=SEEDS)
def test_the_same_seed_spoils_the_same_way_and_leaves_the_parts_alone(seed: int) -> None:
    image, other = parts((64, 64, 1), seed)
    kept = image.copy(), other.copy()
    one, two = (spoil_unseen(image, other, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert np.array_equal(image, kept[0])
    assert np.array_equal(other, kept[1])


def test_most_weaves_have_a_small_defect_that_shows() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([spoil_unseen(woven(rng), woven(rng), rng)[1].mean() for _ in range(100)])
    assert (shares > 0).mean() > 0.95
    assert 0.002 < np.median(shares) < 0.1


def test_a_part_of_the_same_grey_everywhere_or_without_foreground_stays_as_it_is() -> None:
    grey = np.full((64, 64, 1), 120, np.uint8)
    spoilt, mask = spoil_unseen(grey, grey, np.random.default_rng(0))
    assert not mask.any()
    image, other = parts((64, 64, 1), 0)
    nowhere = np.zeros((64, 64), np.bool_)
    spoilt, mask = spoil_unseen(image, other, np.random.default_rng(0), foreground=nowhere)
    assert np.array_equal(spoilt, image)
    assert not mask.any()


def test_no_edge_gives_a_piece_away() -> None:
    """A bright piece in a dark part takes the part's grey at its border."""
    dark, bright = np.full((64, 64, 1), 40, np.uint8), np.full((64, 64, 1), 220, np.uint8)
    for seed in range(10):
        spoilt, _ = spoil_unseen(dark, bright, np.random.default_rng(seed))
        assert np.abs(spoilt.astype(int) - 40).max() <= 1


def test_what_is_trained_with_is_never_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a defect that is kept aside was drawn for training")

    monkeypatch.setattr(cv2, "seamlessClone", refused)
    image, other = parts((64, 64, 1), 0)
    for seed in range(300):
        spoil(image, other, np.random.default_rng(seed))


def test_no_room_in_which_something_learns_knows_of_them() -> None:
    """By the files' imports: only what judges and ships may ask for them."""
    own = Path(natural.__file__)
    for room in WHERE_LEARNED:
        for file in (Path(models.__file__).parent / room).rglob("*.py"):
            if file == own:
                continue
            tree = ast.parse(file.read_text())
            names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            assert natural.__name__ not in names, f"{file} imports the defects that are kept aside"
    assert not hasattr(anomalies, "spoil_unseen")
