"""Merge patches (RFC 7396) put together before anybody applies them, and which of them undoes another.

A retained document replaces the one before it, and stations put it onto what they have. So each says all that
was ever said to its address: whoever was away misses nothing, and what was before can be said again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def composed(first: Any, second: Any) -> Any:
    """What does as much as `first` and then `second`; a member that is removed stays named."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    return {**first, **{name: composed(first.get(name), value) for name, value in second.items()}}


def unsaid(patch: dict[str, Any], known: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[str]:
    """The members, as dotted names, that `patch` sets and about which `known` says nothing."""
    for name, value in patch.items():
        place = (*above, name)
        if name not in known:
            yield ".".join(place)
        elif isinstance(value, dict) and isinstance(known[name], dict):
            yield from unsaid(value, known[name], place)
