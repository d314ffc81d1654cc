"""By which recipe a part is judged: the first rule that says something, and never another product's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.book import ByProduct, Entry, Known, OneRecipe
from agent.line.recipe import Recipe
from agent.settings.patterns import parse
from tests.agent.line.recipes import recipe


@dataclass(frozen=True)
class Given:
    """One recipe as a person would write it; `prefix` is what the ids of its parts begin with."""

    prefix: str | None
    product: str | None


def of(name: str) -> Recipe:
    return replace(recipe(), name=name)


def book(given: dict[str, Given], *, default: str | None = None, switched: str | None = None) -> ByProduct:
    entries = {
        name: Entry(
            recipe=of(name),
            parts=() if one.prefix is None else (parse(f"{one.prefix}-.*"),),
            products=frozenset(() if one.product is None else (one.product,)),
        )
        for name, one in given.items()
    }
    return ByProduct(entries=entries, default=default, switched=switched)


names = ["a", "b", "c"]
recipes_given = st.fixed_dictionaries(
    {
        name: st.builds(
            Given,
            prefix=st.sampled_from([None, name.upper()]),
            product=st.sampled_from([None, f"M-{name}"]),
        )
        for name in names
    }
)
switches = st.sampled_from([None, *names, "gone", ""])
part_ids = st.sampled_from([None, "A-1", "B-2", "C-3", "D-4", "A"])
products = st.sampled_from([None, "M-a", "M-b", "a", "c", "other"])


def chosen(
    given: dict[str, Given],
    default: str | None,
    switched: str | None,
    part_id: str | None,
    product: str | None,
) -> str | None:
    """The twin: the words of the documents, one after the other."""
    if product is not None:
        return next((name for name, one in given.items() if product in (name, one.product)), None)
    for name, one in given.items():
        if part_id is not None and one.prefix is not None and part_id.startswith(f"{one.prefix}-"):
            return name
    if switched is None:
        return default
    if switched not in given or (part_id is not None and given[switched].prefix is not None):
        return None
    return switched


@given(recipes_given, st.sampled_from([None, *names]), switches, part_ids, products)
def test_the_first_rule_that_says_something_decides(
    given: dict[str, Given],
    default: str | None,
    switched: str | None,
    part_id: str | None,
    product: str | None,
) -> None:
    made = book(given, default=default, switched=switched)
    choice = made.choose(Known(part_id=part_id, product=product))
    expected = chosen(given, default, switched, part_id, product)
    assert choice.recipe.name == (expected or "")
    assert (choice.refusal is None) == (expected is not None)
    if choice.refusal is not None:
        assert choice.refusal.reason == "unknown_product"
        assert f"recipes are {', '.join(given)}" in choice.refusal.detail


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Known(part_id="X-1"), "part 'X-1'"),
        (Known(), "a part without an id"),
        (Known(part_id="A-1", product="other"), "product 'other'"),
    ],
)
def test_a_refusal_says_what_no_recipe_is_for(known: Known, words: str) -> None:
    refusal = book({name: Given(name.upper(), None) for name in names}).choose(known).refusal
    assert refusal is not None and f"no recipe is for {words}" in refusal.detail


def test_without_a_part_at_hand_what_was_switched_to_is_named_then_the_default_then_the_first() -> None:
    given = {name: Given(None, None) for name in names}
    assert book(given, default="b", switched="c").standing.name == "c"
    assert book(given, default="b", switched="gone").standing.name == "b"
    assert book(given).standing.name == "a"


def test_one_recipe_is_for_everything() -> None:
    only = OneRecipe(of("x"))
    assert not only.asks and only.choose(Known(part_id="A-1", product="other")).recipe.name == "x"
