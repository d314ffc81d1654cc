"""A region to ignore as a change of the settings: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from agent.contract.commands import NotDoneError
from agent.foreign import shown
from agent.line.recipe import DEFAULT
from agent.settings.polygons import fault_of
from agent.settings.recipes import MAX_REGIONS, OfCamera, Recipe, Region
from agent.settings.settings import Settings


def with_region(
    wanted: Settings, *, camera: str, recipe: str, corners: Sequence[tuple[float, float]]
) -> Mapping[str, JsonValue]:
    """The merge patch that adds a polygon to a recipe; a station without recipes gets one, for all its parts.

    Raises NotDoneError.
    """
    if camera not in [one.name for one in wanted.cameras]:
        raise NotDoneError("not_found", f"there is no camera {shown(camera)} here")
    recipes = list(wanted.recipes) or [Recipe(name=DEFAULT, is_default=True)]
    at = next((number for number, one in enumerate(recipes) if one.name == recipe), None)
    if at is None:
        known = ", ".join(one.name for one in recipes)
        raise NotDoneError("not_found", f"there is no recipe {shown(recipe)} any more; there are {known}")
    region = _region(corners)
    recipes[at] = _of_recipe(recipes[at], camera, region)
    return {"recipes": [one.model_dump(mode="json", exclude_defaults=True) for one in recipes]}


def _region(corners: Sequence[tuple[float, float]]) -> Region:
    rounded = tuple((round(x, 1), round(y, 1)) for x, y in corners)
    if fault := fault_of(rounded):
        raise NotDoneError("bad_arguments", f"corners: {fault}")
    return Region(corners=rounded)


def _of_recipe(recipe: Recipe, camera: str, region: Region) -> Recipe:
    own = next((one for one in recipe.cameras if one.camera == camera), OfCamera(camera=camera))
    if len(own.ignore) >= MAX_REGIONS:
        raise NotDoneError(
            "impossible",
            f"recipe {recipe.name} ignores {MAX_REGIONS} regions of this camera; join some of them",
        )
    changed = own.model_copy(update={"ignore": (*own.ignore, region)})
    others = tuple(one for one in recipe.cameras if one.camera != camera)
    return recipe.model_copy(update={"cameras": (*others, changed)})
