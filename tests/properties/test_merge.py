"""Merge patches against RFC 7396's own vectors, and what holds of any data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.remote.settings.merge import at, difference, followed, is_same, merged, places, touches, without

VECTORS: list[tuple[Any, Any, Any]] = [  # appendix A, and the document of section 3
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    (
        {
            "title": "Goodbye!",
            "author": {"givenName": "John", "familyName": "Doe"},
            "tags": ["example", "sample"],
            "content": "This will be unchanged",
        },
        {
            "title": "Hello!",
            "phoneNumber": "+01-123-456-7890",
            "author": {"familyName": None},
            "tags": ["example"],
        },
        {
            "title": "Hello!",
            "author": {"givenName": "John"},
            "tags": ["example"],
            "content": "This will be unchanged",
            "phoneNumber": "+01-123-456-7890",
        },
    ),
]

NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0, "", "x"]))
PATCHES = st.recursive(
    st.one_of(SCALARS, st.none()),
    lambda inside: st.one_of(st.dictionaries(NAMES, inside, max_size=4), st.lists(SCALARS, max_size=2)),
    max_leaves=12,
)
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.one_of(st.dictionaries(NAMES, inside, max_size=4), st.lists(inside, max_size=2)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
CHANGES = st.dictionaries(NAMES, PATCHES, max_size=4)


@pytest.mark.parametrize(("target", "patch", "result"), VECTORS)
def test_the_vectors_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert is_same(merged(target, patch), result)


@given(OBJECTS, CHANGES)
def test_a_patch_put_twice_does_what_it_does_once_and_changes_nothing_it_was_given(
    target: dict[str, Any], patch: dict[str, Any]
) -> None:
    before = (repr(target), repr(patch))
    once = merged(target, patch)
    assert is_same(merged(once, patch), once)
    assert (repr(target), repr(patch)) == before


@given(OBJECTS, OBJECTS)
def test_the_difference_of_two_states_makes_the_one_of_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    patch = difference(before, after)
    assert is_same(merged(before, patch), after)
    assert bool(patch) == (not is_same(before, after))


@given(OBJECTS, CHANGES)
def test_what_no_member_of_the_patch_touches_stays(target: dict[str, Any], patch: dict[str, Any]) -> None:
    set_ = list(places(patch))
    done = merged(target, patch)
    for place in places(target):
        if not any(touches(place, one) for one in set_):
            assert is_same(at(done, place), at(target, place))


@given(CHANGES, st.data())
def test_members_that_are_left_out_are_not_in_the_patch_and_the_others_are(
    patch: dict[str, Any], data: st.DataObject
) -> None:
    every = list(places(patch))
    left_out = set(data.draw(st.lists(st.sampled_from(every)))) if every else set()
    assert list(places(without(patch, left_out))) == [one for one in every if one not in left_out]


def test_true_is_no_one_and_a_float_no_integer() -> None:
    assert not is_same(True, 1) and not is_same(1, 1.0) and is_same([{"a": 1}], [{"a": 1}])
    assert difference({"a": 1}, {"a": True}) == {"a": True}


def makes_a_section_again(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Of what the first patch has replaced."""
    return any(
        not isinstance(first[name], dict) or makes_a_section_again(first[name], value)
        for name, value in second.items()
        if name in first and isinstance(value, dict)
    )


@given(OBJECTS, CHANGES, CHANGES)
def test_two_patches_in_one_do_what_both_do_one_after_the_other(
    target: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    assume(not makes_a_section_again(first, second))
    assert is_same(merged(target, followed(first, second)), merged(merged(target, first), second))


def test_a_section_that_is_made_again_has_what_the_second_patch_says_whatever_else_was_there() -> None:
    both = followed({"crops": None}, {"crops": {"margin_px": 8}})
    assert merged({"crops": {"format": "png"}}, both)["crops"]["margin_px"] == 8
    assert merged({}, both) == merged(merged({}, {"crops": None}), {"crops": {"margin_px": 8}})
