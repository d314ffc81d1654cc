"""The recipes of a station and which product each is for: frozen, and exchanged whole like a recipe.

By which recipe a part is judged, the first of these that says something:
1. The product that the MES named with it: the recipe of that product, or none.
2. The part's id: the recipe that has a pattern for it. No id has two.
3. The recipe that was switched to; not if it has patterns, and the id is known and matches none of them.
4. Unless one was switched to: the default that the settings name.
A part for which none says something is judged by none: undecided, reason unknown_product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.line.recipe import Recipe
from agent.settings.patterns import Pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a trigger before it is judged."""

    part_id: str | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no recipe judges: the record's reason, and the same for people."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """By what a trigger is judged, or, with a refusal, what its record names all the same."""

    recipe: Recipe
    refusal: Refusal | None = None


NO_MODEL = Refusal(
    reason="no_model", detail="no model bundle here is whole; install one, and inspect the part again"
)


def by(recipe: Recipe) -> Choice:
    """That recipe, where its bundle may judge."""
    return Choice(recipe=recipe, refusal=None if recipe.has_model else NO_MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recipe, and what it is for."""

    recipe: Recipe
    parts: tuple[Pattern, ...] = ()
    products: frozenset[str] = frozenset()  # besides its own name
    refusal: Refusal | None = None  # it does not judge yet

    def choice(self) -> Choice:
        return by(self.recipe) if self.refusal is None else Choice(recipe=self.recipe, refusal=self.refusal)


class Book(Protocol):
    """What a line judges by."""

    @property
    def asks(self) -> bool:
        """Whether a choice depends on what is known of the trigger."""

    @property
    def standing(self) -> Recipe:
        """The one to name where no trigger is at hand."""

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """All that it may choose."""

    @property
    def station_sha256(self) -> str:
        """The bundle of recipes that name none of their own; empty where none judges."""

    def choose(self, known: Known) -> Choice: ...


@dataclass(frozen=True, slots=True)
class OneRecipe:
    """For everything."""

    recipe: Recipe

    @property
    def asks(self) -> bool:
        return False

    @property
    def standing(self) -> Recipe:
        return self.recipe

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return (self.recipe,)

    @property
    def station_sha256(self) -> str:
        return self.recipe.bundle_sha256

    def choose(self, known: Known) -> Choice:
        return by(self.recipe)


@dataclass(frozen=True, kw_only=True)
class ByProduct:
    """By the rules above."""

    entries: Mapping[str, Entry]  # by name, one at least
    default: str | None
    switched: str | None = None  # may name what is not there any more
    station_sha256: str = ""
    _nobody: Recipe = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_nobody", replace(self.standing, name=""))

    @property
    def asks(self) -> bool:
        return True

    @property
    def standing(self) -> Recipe:
        for name in (self.switched, self.default):
            if name is not None and name in self.entries:
                return self.entries[name].recipe
        return next(iter(self.entries.values())).recipe

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(one.recipe for one in self.entries.values())

    def choose(self, known: Known) -> Choice:
        if known.product is not None:
            return self._named(self._of_product(known.product), f"product {known.product!r}")
        if known.part_id is not None:
            for one in self.entries.values():
                if any(pattern.matches(known.part_id) for pattern in one.parts):
                    return one.choice()
        part = "a part without an id" if known.part_id is None else f"part {known.part_id!r}"
        if self.switched is not None:
            entry = self.entries.get(self.switched)
            fits = entry is not None and (known.part_id is None or not entry.parts)
            return self._named(self.switched if fits else None, f"{part}, and not the one switched to")
        return self._named(self.default, part)

    def _of_product(self, product: str) -> str | None:
        if product in self.entries:
            return product
        return next((name for name, one in self.entries.items() if product in one.products), None)

    def _named(self, name: str | None, of: str) -> Choice:
        if name is not None:
            return self.entries[name].choice()
        known = ", ".join(self.entries)
        return Choice(
            recipe=self._nobody,
            refusal=Refusal(
                reason="unknown_product",
                detail=f"no recipe is for {of}; recipes are {known}: bind the product, switch the recipe, or "
                "give one a pattern for it",
            ),
        )
