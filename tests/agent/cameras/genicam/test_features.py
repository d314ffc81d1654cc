"""What may be written to a feature is decided before anything is sent, with the value and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cameras.genicam.features import Feature, FeatureError, agree, checked
from agent.settings.camera import FeatureWrite

READ_WRITE, READ_ONLY, WRITE_ONLY = 2, 0, 1


def feature(kind: Any, access: int = READ_WRITE, **more: Any) -> Feature:
    return Feature(name="it", kind=kind, access=access, **more)


WIDTH = feature("integer", low=16, high=4096, step=4)
FORMAT = feature("enumeration", entries=("Mono8", "Mono12"))


@pytest.mark.parametrize(
    ("one", "value", "taken"),
    [
        (WIDTH, 4096, 4096),
        (FORMAT, "Mono12", "Mono12"),
        (feature("float", low=1, high=1e5), 20, 20.0),
        (feature("boolean"), True, True),
        (feature("string"), "cell 3", "cell 3"),
        (feature("command", WRITE_ONLY), None, None),
    ],
)
def test_a_value_that_fits_is_taken_as_the_feature_wants_it(one: Feature, value: Any, taken: Any) -> None:
    got = checked(FeatureWrite(name="it", value=value), one)
    assert got == taken and type(got) is type(taken)


@pytest.mark.parametrize(
    ("one", "value", "words"),
    [
        (None, 1, "no such feature"),
        (feature("integer", READ_ONLY), 1, "read only"),
        (WIDTH, 5000, "outside 16 to 4096"),
        (WIDTH, 18, "multiple of 4"),
        (WIDTH, "wide", "of kind integer"),
        (WIDTH, True, "of kind integer"),
        (FORMAT, "Mono16", "not one of Mono8, Mono12"),
        (feature("float", low=1, high=100), 1000.0, "outside 1 to 100"),
        (feature("boolean"), 1, "of kind boolean"),
        (feature("command", WRITE_ONLY), True, "leave its value out"),
        (feature("string"), None, "of kind string"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(one: Feature | None, value: Any, words: str) -> None:
    with pytest.raises(FeatureError, match=words):
        checked(FeatureWrite(name="it", value=value), one)


def test_a_float_may_be_rounded_by_the_camera_but_not_changed() -> None:
    assert agree(20_000.0, 19_999.6)
    assert not agree(20_000.0, 10_000.0)
    assert agree("Mono8", "Mono8") and not agree(128, 64)
