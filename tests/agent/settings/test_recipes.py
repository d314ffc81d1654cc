"""Recipes that would leave it open which of them judges a part are refused, with the names of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.settings import settings
from agent.settings.settings import SettingsError

REGION = {"corners": [[0, 0], [9, 0], [9, 9]]}


def load(*recipes: dict[str, Any], **sections: Any) -> settings.Settings:
    text = yaml.safe_dump({**sections, "recipes": list(recipes)})
    return settings.parse(text, name="a.yaml", base=Path("/etc/plumbline"), environment={})


def of_camera(**told: Any) -> dict[str, Any]:
    return {"name": "x", "cameras": [{"camera": settings.Settings().cameras[0].name, **told}]}


def test_recipes_are_read_and_their_bundles_anchored() -> None:
    loaded = load(
        {"name": "x", "parts": ["A-\\d+"], "bundle": "bundles/x"}, {"name": "y", "is_default": True}
    )
    assert [one.bundle for one in loaded.recipes] == [Path("/etc/plumbline/bundles/x"), None]
    assert load(of_camera(ignore=[REGION])).recipes[0].cameras[0].ignore[0].unit == "px"


@pytest.mark.parametrize(
    ("recipes", "words"),
    [
        ([{"name": "x"}, {"name": "x"}], "recipe name 'x' stands twice"),
        ([{"name": "X"}], "recipes.0.name: write 1 to 64 of the characters a-z"),
        (
            [{"name": "x", "is_default": True}, {"name": "y", "is_default": True}],
            "recipes 'x' and 'y' are both the default",
        ),
        (
            [{"name": "x", "parts": ["A-\\d{3}"]}, {"name": "y", "parts": ["B.*", "A-1.*"]}],
            "recipes 'x' and 'y' would both judge part 'A-100'",
        ),
        (
            [{"name": "x", "products": ["M1"]}, {"name": "y", "products": ["M2", "M1"]}],
            "recipes 'x' and 'y' are both for product 'M1'",
        ),
        ([{"name": "x", "products": ["y"]}, {"name": "y"}], "recipes 'y' and 'x' are both for product 'y'"),
        ([{"name": "x", "parts": ["(a"]}], "recipes.0.parts.0: is no pattern of part ids: at character 3"),
        ([{"name": "x", "cameras": [{"camera": "none"}]}], "names camera 'none', which is not there"),
        ([of_camera(ignore=[{**REGION, "unit": "mm"}])], "has no web.mm_per_px"),
        ([of_camera(ignore=[{"corners": [[0, 0], [1, 1]]}])], "recipes.0.cameras.0.ignore.0.corners"),
        ([of_camera(ignore=[{"corners": [[0, 0], [1, 1], [0, 1e9]]}])], "corners.2.1"),
        (
            [of_camera(ignore=[REGION, {"corners": [[0, 0], [1, 1], [3, 3]]}])],
            "cameras.0.ignore.1: its corners lie",
        ),
        (
            [of_camera(ignore=[{"corners": [[0, 0], [9, 9], [9, 0], [0, 9]]}])],
            "recipes.0.cameras.0.ignore.0: the edge from (0, 0) to (9, 9) crosses that from (9, 0) to (0, 9)",
        ),
        ([of_camera(threshold=0)], "recipes.0.cameras.0.threshold"),
        ([{"name": "x", "cameras": [{"camera": "a"}, {"camera": "a"}]}], "names camera 'a' twice"),
        ([{"name": f"x{number}"} for number in range(33)], "recipes"),
    ],
)
def test_a_fault_is_named_with_its_place(recipes: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(*recipes)
    assert words in str(caught.value), str(caught.value)


def test_patterns_of_one_recipe_may_overlap() -> None:
    assert load({"name": "x", "parts": ["A.*", "A-1"]}).recipes
