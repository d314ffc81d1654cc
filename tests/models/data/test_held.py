"""Good parts are shared so that those held back can promise the target, or the user is told what they can."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.datasets import Item
from models.data.held import TARGET, parts_needed, preview, share
from models.data.threshold import frames_needed
from tests.models.tiny import write_tiny


def parts(count: int) -> list[Item]:
    return [Item(image=Path(f"{index:05}.png"), split="train", defect="good") for index in range(count)]


@given(count=st.integers(60, 2000))
def test_sixty_parts_or_more_hold_back_enough_for_the_target(count: int) -> None:
    kept, held = share(parts(count))
    assert len(held) >= frames_needed(TARGET)
    assert len(kept) >= len(held)
    assert sorted([*kept, *held], key=str) == parts(count)


@given(target=st.floats(0.005, 0.5))
def test_the_parts_that_are_asked_for_are_enough(target: float) -> None:
    assert len(share(parts(parts_needed(target)))[1]) >= frames_needed(target)


@pytest.mark.parametrize(("target", "said"), [(0.05, "be provisional; give 60 good"), (0.3, "enough for")])
def test_the_promise_is_told_with_how_many_parts_it_needs(tmp_path: Path, target: float, said: str) -> None:
    assert said in preview([write_tiny(tmp_path / "tiny")], target)[-1]
