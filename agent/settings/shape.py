"""What may stand at a place of the settings, from the types alone: for overrides and for words."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel

Keys: TypeAlias = tuple[str | int, ...]


def kinds_at(root: Any, keys: Keys) -> tuple[Any, ...]:
    """The types that a value at `keys` may have, without None; () where nothing has that name.

    Below a section that comes in several kinds these are those of all of them.
    """
    found = tuple(flat(root))
    for key in keys:
        found = tuple(kind for one in found for kind in _below(one, key))
    return found


def sections(kinds: tuple[Any, ...]) -> list[type[BaseModel]]:
    """Those of the types that are mappings of known keys."""
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def is_list(kinds: tuple[Any, ...]) -> bool:
    """Whether items stand there, counted from 0."""
    return any(typing.get_origin(kind) is tuple for kind in kinds)


def is_text(kinds: tuple[Any, ...]) -> bool:
    """Whether any text may stand there and nothing else."""
    return all(kind in (str, Path) or _is_word(kind) for kind in kinds)


def is_one_value(kinds: tuple[Any, ...]) -> bool:
    """Whether what stands there is one text, number or boolean."""
    return all(kind in (str, Path, int, float, bool) or _is_word(kind) for kind in kinds)


def is_path(kinds: tuple[Any, ...]) -> bool:
    """Whether a path stands there."""
    return Path in kinds


def may_be_nothing(root: Any, keys: Keys) -> bool:
    """Whether null may stand at `keys`."""
    above = sections(kinds_at(root, keys[:-1])) if keys and isinstance(keys[-1], str) else []
    fields = [one.model_fields[str(keys[-1])] for one in above if keys[-1] in one.model_fields]
    return any(type(None) in typing.get_args(field.annotation) for field in fields)


def places_of(root: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Every key there is with those above it; items of lists have no number."""
    for name, field in root.model_fields.items():
        yield (name,)
        for kind in flat(field.annotation):
            item = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
            for section in sections(tuple(flat(item))):
                yield from ((name, *below) for below in places_of(section))


def flat(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows, without None."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        yield from flat(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for one in typing.get_args(annotation):
            yield from flat(one)
    elif annotation is not type(None):
        yield annotation


def _below(kind: Any, key: str | int) -> Iterator[Any]:
    if isinstance(key, int):
        if typing.get_origin(kind) is tuple:
            yield from flat(typing.get_args(kind)[0])
    elif isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
        yield from flat(kind.model_fields[key].annotation)


def _is_word(kind: Any) -> bool:
    return typing.get_origin(kind) is Literal and all(isinstance(one, str) for one in typing.get_args(kind))
