"""A bundle tells how its model ranks beside a plain memory of good parts, in a sentence and as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import models
from agent.bundle.bundle import manifest_bytes, open_bundle, parse_manifest
from agent.bundle.standing import Standing

SAMPLE = Path(models.__file__).parent / "bundles" / "elpv"


def standing(low: float, high: float) -> Standing:
    return Standing(
        model_auroc=0.861,
        yardstick_auroc=0.906,
        difference=(low, high),
        good=479,
        defective=227,
        source="test pictures",
        strides=(32,),
    )


@pytest.mark.parametrize(
    ("low", "high", "word", "is_worse"),
    [
        (-0.06, -0.02, "worse than", True),
        (-0.06, 0.0, "about as well as", False),
        (-0.01, 0.02, "about as well as", False),
        (0.01, 0.02, "better than", False),
    ],
)
def test_only_what_chance_does_not_explain_is_called_worse_or_better(
    low: float, high: float, word: str, is_worse: bool
) -> None:
    found = standing(low, high)
    assert found.is_worse is is_worse
    assert found.words().startswith(
        f"ranks {word} a plain memory of good parts: image AUROC 0.861 against 0.906"
    )
    assert "479 good and 227 defective pictures (test pictures)" in found.words()


def test_a_manifest_carries_it_and_reads_it_back() -> None:
    manifest = open_bundle(SAMPLE).manifest.model_copy(update={"standing": standing(-0.06, -0.02)})
    again = parse_manifest(manifest_bytes(manifest), name="manifest.yaml")
    assert again == manifest
    assert again.standing == standing(-0.06, -0.02)


def test_a_manifest_without_it_says_nothing_of_it_as_before() -> None:
    manifest = open_bundle(SAMPLE).manifest.model_copy(update={"standing": None})
    assert "standing" not in yaml.safe_load(manifest_bytes(manifest))


@pytest.mark.parametrize("change", [{"model_auroc": 1.2}, {"good": 0}, {"difference": (0.1,)}, {"more": 1}])
def test_numbers_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Standing.model_validate({**standing(0, 0).model_dump(), **change})
