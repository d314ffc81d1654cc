"""Good parts are shared so that those held back can promise the target, or the user is told what they can."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.datasets import DataError, Item
from models.data.held import TARGET, good_shares, need_promise, parts_needed, preview, share
from models.data.threshold import calibrate, frames_needed
from tests.models.tiny import write_tiny


def parts(count: int) -> list[Item]:
    return [Item(image=Path(f"{index:05}.png"), split="train", defect="good") for index in range(count)]


@given(count=st.integers(60, 2000))
def test_sixty_parts_or_more_hold_back_enough_for_the_target(count: int) -> None:
    shares = share(parts(count))
    assert len(shares.threshold) >= frames_needed(TARGET)
    assert len(shares.train) >= len(shares.held)
    assert sorted([*shares.train, *shares.held], key=str) == parts(count)


@given(target=st.floats(0.005, 0.5))
def test_the_parts_that_are_asked_for_are_enough(target: float) -> None:
    assert len(share(parts(parts_needed(target))).threshold) >= frames_needed(target)


@pytest.mark.parametrize(("target", "said"), [(0.05, "be provisional; give 55 good"), (0.3, "enough for")])
def test_the_promise_is_told_with_how_many_parts_it_needs(tmp_path: Path, target: float, said: str) -> None:
    assert said in preview([write_tiny(tmp_path / "tiny")], target)[-1]


@given(count=st.integers(8, 2000))
def test_each_good_part_is_used_for_one_thing(count: int) -> None:
    shares = share(parts(count))
    used = [*shares.train, *shares.evidence, *shares.threshold]
    assert sorted(used, key=str) == parts(count)
    assert shares.train and shares.evidence and shares.threshold
    edges = sum(
        after.image.stem != f"{int(before.image.stem) + 1:05}" for before, after in pairs(shares.held)
    )
    assert edges <= len(shares.held) / 2 or len(shares.held) < 8  # whole runs of neighbours


def pairs(items: list[Item]) -> list[tuple[Item, Item]]:
    return list(itertools.pairwise(items))


def test_a_threshold_keeps_its_rate_only_on_parts_that_nothing_was_fitted_to() -> None:
    rates: dict[str, list[float]] = {"others": [], "the same": []}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        parts = rng.normal(0, 1, (38, 12))  # so few parts, so many kinds of evidence
        fresh = rng.normal(0, 1, (400, 12))
        for name, fitted in (("others", parts[:19]), ("the same", parts[19:])):
            mean, spread = fitted.mean(0), fitted.std(0)

            def scored(of: np.ndarray, mean: np.ndarray = mean, spread: np.ndarray = spread) -> np.ndarray:
                return np.asarray(((of - mean) / spread).max(1) + 10, np.float32)

            found = calibrate(scored(parts[19:]), target=0.05, source="test")
            rates[name].append(float((scored(fresh) >= np.float32(found.raw)).mean()))
    assert np.mean(rates["others"]) < 0.055
    assert np.mean(rates["the same"]) > 0.06


def test_too_few_parts_for_the_rate_that_is_asked_for_are_refused_with_how_many_are_missing(
    tmp_path: Path,
) -> None:
    root = write_tiny(tmp_path / "tiny")
    count = len(good_shares([root]).threshold)
    need_promise([root], 1 / (count + 1))
    said = (
        rf"takes 19 good parts .* there are {count}: give about \d+ more good parts, or a --target of (.+)%"
    )
    with pytest.raises(DataError, match=said) as refusal:
        need_promise([root], 0.05)
    found = re.search(said, str(refusal.value))
    assert found is not None
    need_promise([root], float(found[1].split("%")[0]) / 100)  # as it is said, so it can be given
