"""Overrides from the environment: PLUMBLINE_A__B=value is a.b, PLUMBLINE_CAMERAS__0__NAME the first camera's.

Texts and paths are taken as they stand, numbers and booleans as they are written in the file, whole
sections and lists as YAML. What container platforms put into the environment for a service that
happens to be called plumbline is none of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from agent.settings import shape as shape
from agent.settings import strict_yaml
from agent.settings.shape import Keys

PREFIX = "PLUMBLINE_"

_FOREIGN = (
    (re.compile(r"(?:\w+_)?PORT(?:_\d+_(?:TCP|UDP|SCTP))?"), re.compile(r"(?:tcp|udp|sctp)://.*")),
    (re.compile(r"(?:\w+_)?PORT_\d+_(?:TCP|UDP|SCTP)_(?:ADDR|PORT|PROTO)"), re.compile(r".*")),
    (re.compile(r"(?:\w+_)?SERVICE_(?:HOST|PORT(?:_\w+)?)"), re.compile(r".*")),
    (re.compile(r"(?:\w+_)?NAME"), re.compile(r"/.*")),  # of a linked container
    (re.compile(r"(?:\w+_)?ENV_\w+"), re.compile(r".*")),
)


def override(
    data: dict[str, Any], environment: Mapping[str, str], root: type[BaseModel]
) -> tuple[dict[Keys, str], list[str]]:
    """Write every override into `data`; where each came from, and one line for each that is wrong."""
    origin: dict[Keys, str] = {}
    problems: list[str] = []
    ours = [name for name in environment if name.startswith(PREFIX) and not _is_foreign(name, environment)]
    for variable in sorted(ours, key=lambda name: _order(_keys(name))):
        keys = _keys(variable)
        try:
            _write(data, keys, variable, environment[variable], root, origin)
        except _Wrong as error:
            problems.append(f"environment {variable}: {error}")
            origin[keys] = variable
    return origin, problems


class _Wrong(Exception):
    """An override that cannot be one; the text says what to write instead."""


def _keys(variable: str) -> Keys:
    parts = variable[len(PREFIX) :].lower().split("__")
    return tuple(int(part) if re.fullmatch("[0-9]{1,4}", part) else part for part in parts)


def _order(keys: Keys) -> list[tuple[bool, int, str]]:
    return [(isinstance(key, str), key if isinstance(key, int) else 0, str(key)) for key in keys]


def _is_foreign(variable: str, environment: Mapping[str, str]) -> bool:
    name = variable[len(PREFIX) :]
    return "__" not in name and any(
        form.fullmatch(name) and value.fullmatch(environment[variable]) for form, value in _FOREIGN
    )


def _write(
    data: dict[str, Any], keys: Keys, variable: str, text: str, root: type[BaseModel], origin: dict[Keys, str]
) -> None:
    if keys[0] not in root.model_fields:
        raise _Wrong(_unknown(keys, root))
    place: Any = data
    for depth, key in enumerate(keys):
        is_last = depth == len(keys) - 1
        if isinstance(place, list):
            place = _item(place, keys[: depth + 1], variable, is_last, origin)
        elif not isinstance(place, dict):
            raise _Wrong(_no_keys(keys[:depth]))
        elif not is_last and key not in place:
            below = shape.kinds_at(root, keys[: depth + 1])
            place[key] = [] if shape.is_list(below) and isinstance(keys[depth + 1], int) else {}
            origin[keys[: depth + 1]] = variable
        if is_last:
            place[key] = _value(text, keys, root)
            origin[keys] = variable
        else:
            place = place[key]


def _item(place: list[Any], keys: Keys, variable: str, is_last: bool, origin: dict[Keys, str]) -> list[Any]:
    """The list, long enough to have the item of the last key."""
    number = keys[-1]
    if not isinstance(number, int):
        raise _Wrong(f"{_dotted(keys[:-1])}: is a list; name an item of it by its number, from 0")
    if number > len(place):
        raise _Wrong(
            f"{_dotted(keys)}: there are {len(place)} of them, so the next one is number {len(place)}"
        )
    if number == len(place):
        place.append(None if is_last else {})
        origin[keys] = variable
    return place


def _value(text: str, keys: Keys, root: type[BaseModel]) -> Any:
    kinds = shape.kinds_at(root, keys)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Wrong(f"{_dotted(keys)}: is not UTF-8; write it anew") from None
    if text == "" and shape.may_be_nothing(root, keys):
        return None
    if text == "" and shape.is_path(kinds):
        raise _Wrong(f"{_dotted(keys)}: is empty; give a path, or unset the variable")
    if kinds and shape.is_text(kinds):
        return None if text == "null" and shape.may_be_nothing(root, keys) else text
    if kinds and shape.is_one_value(kinds):
        return strict_yaml.plain(text)
    if not kinds:
        return text  # an unknown key, which is told with those of the file
    try:
        value = strict_yaml.load(text, name="value")[0]
    except strict_yaml.YamlError as error:
        place, _, words = str(error).partition(": ")
        where = place.removeprefix("value:")
        raise _Wrong(
            f"{_dotted(keys)}: is not written as YAML at {where}: {words}; quote it: a text with # : , [ or"
            " { in it stands in quotes"
        ) from error
    if re.search(r"(?m)(?:^|\s)#", text) and "#" not in str(value):
        raise _Wrong(f"{_dotted(keys)}: what follows the # would be lost; quote it, or leave it out")
    return value


def _no_keys(keys: Keys) -> str:
    whole = PREFIX + "__".join(map(str, keys)).upper()
    return f"{_dotted(keys)}: has no keys; give it as a whole in {whole} or in the file"


def _unknown(keys: Keys, root: type[BaseModel]) -> str:
    """Names that begin as ours are settings, so a foreign one has to be told from a mistyped one."""
    known = ["__".join(place) for place in shape.places_of(root)]
    asked = "__".join(map(str, keys))
    near = get_close_matches(asked, known, 1, 0.8) or [
        one for one in known if one.replace("__", "_") == asked.replace("__", "_")
    ]
    near = near or [one for one in known if one.split("__")[-1] == asked.split("__")[-1]][:3]
    meant = f"; did you mean {' or '.join(PREFIX + one.upper() for one in near)}?" if near else ""
    return (
        f"{keys[0]}: no setting has that name{meant}; variables that begin with {PREFIX} are settings:"
        f" unset it, or rename it if another program reads it. There are {', '.join(root.model_fields)}"
    )


def _dotted(keys: Keys) -> str:
    return ".".join(map(str, keys))
