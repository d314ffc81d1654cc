"""How far a change of settings reaches: what has to be begun anew before it is in force.

    frame   nothing: from the next frame on
    camera  that camera is opened anew, with its corrections; the others go on
    run     every line: another run in the same process, for which all cameras are opened anew

No key needs another process. Each field says its own in the models, where it is not `run`; what lies below it
has the same, unless it says another. `REMOTE_NEVER` is what no document from afar may change.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.settings import shape
from agent.settings.section import REACH
from agent.settings.shape import Keys

Reach: TypeAlias = Literal["frame", "camera", "run"]
REACHES: tuple[Reach, ...] = typing.get_args(Reach)  # from the nearest to the farthest

REMOTE_NEVER: dict[tuple[str, ...], str] = {
    ("version",): "the format of the file belongs to the program that reads it",
    ("identity",): "it says whose documents these are; a document that changed it would become another's",
    ("trust",): "it says who may sign; keys change by a trust file that the keys before signed",
    ("remote",): "it says what a document has to stand; none sets the limits it is judged by",
    ("outbox", "path"): "what waits in the outbox would be left behind; move it by hand",
}


def reach_of(root: type[BaseModel], keys: Keys) -> Reach:
    """Of a change at `keys`; a list that is another one reaches as far as any item can."""
    reach: Reach = "run"
    for depth, key in enumerate(keys):
        if isinstance(key, str):
            above = shape.sections(shape.kinds_at(root, keys[:depth]))
            reach = _farthest(_said(one.model_fields[key], reach) for one in above if key in one.model_fields)
    return reach


def farthest(root: type[BaseModel], changed: Iterable[Keys]) -> Reach:
    """Of several changes; the nearest there is for none."""
    return _farthest((reach_of(root, keys) for keys in changed), otherwise="frame")


def changed(before: Any, after: Any, keys: Keys = ()) -> Iterator[Keys]:
    """Where two settings differ; of lists and sections that are not of one kind, where they stand."""
    if isinstance(before, BaseModel) and type(before) is type(after):
        for name in type(before).model_fields:
            yield from changed(getattr(before, name), getattr(after, name), (*keys, name))
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changed(one, other, (*keys, number))
    elif before != after or type(before) is not type(after):
        yield keys


def opened_anew(before: BaseModel, after: BaseModel) -> frozenset[int]:
    """The cameras, by their place, that are for `after` to be in force; the rest of it may reach farther."""
    found = (keys for keys in changed(before, after) if reach_of(type(before), keys) == "camera")
    return frozenset(keys[1] for keys in found if isinstance(keys[1], int))


def table(root: type[BaseModel]) -> dict[str, Reach]:
    """Every key with a reach of its own that is not its section's, with dots; items of lists stand as *."""
    return dict(_rows(root, "", "run"))


def _rows(section: type[BaseModel], above: str, reach: Reach) -> Iterator[tuple[str, Reach]]:
    for name, field in section.model_fields.items():
        own = _said(field, reach)
        if own != reach:
            yield f"{above}{name}", own
        kinds = tuple(shape.flat(field.annotation))
        items = tuple(item for kind in kinds for item in _items(kind))
        for below in shape.sections(kinds):
            yield from _rows(below, f"{above}{name}.", own)
        for below in shape.sections(items):
            yield from _rows(below, f"{above}{name}.*.", own)


def _items(kind: Any) -> Iterator[Any]:
    if typing.get_origin(kind) is tuple:
        yield from shape.flat(typing.get_args(kind)[0])


def _said(field: FieldInfo, above: Reach) -> Reach:
    extra = field.json_schema_extra
    found = extra.get(REACH) if isinstance(extra, dict) else None
    return next((one for one in REACHES if one == found), above)


def _farthest(reaches: Iterable[Reach], otherwise: Reach = "run") -> Reach:
    return max(reaches, key=REACHES.index, default=otherwise)
