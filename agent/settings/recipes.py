"""Settings of recipes: what a product is judged by, and which product that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from agent.settings import patterns, polygons
from agent.settings.crops import Crops
from agent.settings.section import Digest, Identifier
from agent.settings.section import Section as _Section

MAX_RECIPES = 32
MAX_REGIONS = 32
MAX_CORNERS = 64


def _pattern(text: str) -> str:
    try:
        patterns.parse(text)
    except patterns.PatternError as error:
        raise ValueError(f"is no pattern of part ids: {error}") from None
    return text


PartPattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]
Coordinate: TypeAlias = Annotated[float, Field(ge=-1e7, le=1e7)]


class Region(_Section):
    """A polygon; its corners are joined in their order, and the last one to the first."""

    unit: Literal["px", "mm"] = "px"
    corners: tuple[tuple[Coordinate, Coordinate], ...] = Field(min_length=3, max_length=MAX_CORNERS)

    @model_validator(mode="after")
    def _has_an_inside(self) -> Region:
        if fault := polygons.fault_of(self.corners):
            raise ValueError(fault)
        return self


class OfCamera(_Section):
    """What a recipe has of its own for one camera."""

    camera: Identifier
    threshold: float | None = Field(None, ge=1e-6, le=1e6)
    min_area_px: int | None = Field(None, ge=1)
    ignore: tuple[Region, ...] = Field((), max_length=MAX_REGIONS)


class Recipe(_Section):
    """Of a product, or of several that are judged alike."""

    name: Identifier
    is_default: bool = False
    parts: tuple[PartPattern, ...] = Field((), max_length=16)
    products: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field((), max_length=64)
    bundle: Path | None = None
    cameras: tuple[OfCamera, ...] = Field((), max_length=16)
    crops: Crops | None = None
    labels: Digest | None = None

    @model_validator(mode="after")
    def _names_a_camera_once(self) -> Recipe:
        names = [one.camera for one in self.cameras]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"recipe {self.name!r} names camera {name!r} twice; join the two")
        return self


def check(recipes: tuple[Recipe, ...]) -> None:
    """That every product has one recipe at most. Raises ValueError with the names of both."""
    names = [one.name for one in recipes]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"recipe name {name!r} stands twice; records name recipes, they must differ")
    defaults = [one.name for one in recipes if one.is_default]
    if len(defaults) > 1:
        raise ValueError(f"recipes {defaults[0]!r} and {defaults[1]!r} are both the default; leave one")
    meant: dict[str, str] = {name: name for name in names}
    for one in recipes:
        for product in one.products:
            if meant.setdefault(product, one.name) != one.name:
                raise ValueError(
                    f"recipes {meant[product]!r} and {one.name!r} are both for product {product!r}; "
                    "a recipe's own name counts as one of its products"
                )
    _check_patterns(recipes)


def _check_patterns(recipes: tuple[Recipe, ...]) -> None:
    parsed = [(one.name, patterns.parse(text)) for one in recipes for text in one.parts]
    budget = patterns.Budget()
    for number, (name, pattern) in enumerate(parsed):
        for other, another in parsed[number + 1 :]:
            if name == other:
                continue
            try:
                both = patterns.common(pattern, another, budget)
            except patterns.PatternError as error:
                raise ValueError(f"part patterns of recipes {name!r} and {other!r} {error}") from None
            if both is not None:
                raise ValueError(
                    f"recipes {name!r} and {other!r} would both judge part {both!r}: {pattern.text!r} and "
                    f"{another.text!r} match it; write them so that no part matches two"
                )
