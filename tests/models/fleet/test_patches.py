"""Patches that are put together do as much as one after the other, and say what they leave unsaid."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.fleet.patches import composed, unsaid
from tests.fleet.station import merged

NAMES = st.sampled_from("abc")
VALUES = st.integers(0, 3)
SHAPE = {"a": 0, "b": {"a": 0, "c": {"b": 0}}, "c": {"a": 0}}


def patches(shape: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Of one shape, as settings have: a member is always a section, or never."""
    members = {name: patches(value) if isinstance(value, dict) else VALUES for name, value in shape.items()}
    return st.fixed_dictionaries({}, optional=members)


PATCHES = patches(SHAPE)


@given(PATCHES, PATCHES, PATCHES)
def test_composed_patches_do_as_much_as_one_after_the_other(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert merged(base, composed(first, second)) == merged(merged(base, first), second)


@given(PATCHES, PATCHES, PATCHES)
def test_what_leaves_nothing_unsaid_brings_back_what_was(
    base: dict[str, Any], said: dict[str, Any], patch: dict[str, Any]
) -> None:
    before = merged(base, said)
    if not list(unsaid(patch, said)):
        after = merged(before, composed(said, patch))
        assert merged(after, said) == before


def test_members_that_were_never_said_are_named() -> None:
    known = {"line": {"mode": "live"}, "logs": None}
    assert list(unsaid({"line": {"ring_frames": 8}, "logs": {"level": "info"}}, known)) == [
        "line.ring_frames"
    ]
    assert list(unsaid({"line": None}, known)) == []
    assert list(unsaid({"mqtt": {"host": "h"}}, known)) == ["mqtt"]


def test_a_member_that_is_removed_stays_named() -> None:
    assert composed({"a": 1}, {"a": None}) == {"a": None}
    assert composed({"a": None}, {"b": {"c": 1}}) == {"a": None, "b": {"c": 1}}
