"""JSON Merge Patch (RFC 7396): put onto data, taken from two states of it, and looked at by its members.

A member that is null removes what stands there, a list replaces the whole list. Nothing here changes what it
is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

Place: TypeAlias = tuple[str, ...]  # of a member, by the names above it and its own


def merged(target: Any, patch: Any) -> Any:
    """`target` with `patch` put onto it."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), value)
    return made


def followed(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The patch that does what `first` and then `second` do: a null of either stays one.

    But where `first` has a section replaced and `second` makes one of it again: no patch can say "nothing of
    what was there" (RFC 7396), so that members of that section which neither names are left as they were.
    """
    made = dict(first)
    for name, value in second.items():
        old = made.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            made[name] = followed(old, value)
        elif isinstance(value, dict) and name not in made:
            made[name] = value
        elif isinstance(value, dict):  # what stood there was no object, or is removed: nothing of it is left
            made[name] = merged(None, value)
        else:
            made[name] = value
    return made


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The patch that makes `after` of `before`.

    A null in `after` cannot be told from an absent member: both become the patch's null.
    """
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            if inside := difference(old, value):
                patch[name] = inside
        elif name not in before or not is_same(old, value):
            patch[name] = value
    return patch


def places(patch: Any, above: Place = ()) -> Iterator[Place]:
    """Every member that `patch` sets or removes; an object with nothing in it is a member itself."""
    if not isinstance(patch, dict) or (above and not patch):
        yield above
        return
    for name, value in patch.items():
        yield from places(value, (*above, name))


def without(patch: dict[str, Any], left_out: Collection[Place], above: Place = ()) -> dict[str, Any]:
    """`patch` but for the members at and below these places."""
    made: dict[str, Any] = {}
    for name, value in patch.items():
        place = (*above, name)
        if place in left_out:
            continue
        inside = without(value, left_out, place) if isinstance(value, dict) else value
        if inside or not isinstance(value, dict) or not value:
            made[name] = inside
    return made


def touches(place: Place, other: Place) -> bool:
    """Whether to set one of them is to set something of the other."""
    length = min(len(place), len(other))
    return place[:length] == other[:length]


def at(data: Any, place: Place) -> Any:
    """What stands there; None where nothing does."""
    for name in place:
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data


def is_same(one: Any, other: Any) -> bool:
    """Whether both are the same JSON: true is no 1, and 1.0 is no 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and bool(one == other)
