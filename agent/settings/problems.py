"""The words for what is wrong with settings: the place, the fault, the remedy; never what may be a secret."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from agent.foreign import shown
from agent.settings import shape as shape
from agent.settings.gateways import SPARKPLUG_NAME, WEB_ADDRESS
from agent.settings.outputs import OPCUA_ADDRESS
from agent.settings.section import IDENTIFIER
from agent.settings.shape import Keys

LONGEST_SHOWN = 80
LONGEST_TEXT = 4095  # bytes of a path on Linux

_SECRET = re.compile(
    r"pass|pwd|secret|token|key|auth|cred|sig|pin|user|login|url|uri|address|cookie|cert", re.I
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_SECRET_KEYS = {
    "password": "password_file",
    "passwd": "password_file",
    "pass": "password_file",
    "pwd": "password_file",
    "passphrase": "key_password_file",
    "key_password": "key_password_file",
    "secret": "secret_file",
    "token": "secret_file",
    "key": "key_file",
    "private_key": "key_file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where each key of settings was written: its line in the file, or the variable that overrode it."""

    name: str
    lines: Mapping[Keys, int]
    overridden: Mapping[Keys, str]

    def of(self, keys: Keys) -> str:
        """`file:line`, or `environment VARIABLE`, of the key or the nearest one above it."""
        above = [keys[:length] for length in range(len(keys), -1, -1)]
        variable = next((self.overridden[path] for path in above if path in self.overridden), None)
        line = next((self.lines[path] for path in above if path in self.lines), 1)
        return f"environment {variable}" if variable else f"{self.name}:{line}"

    def line(self, keys: Keys, words: str) -> str:
        """`place: key.path: words`."""
        return f"{self.of(keys)}: {dotted(keys)}: {words}"


def problems_of(error: ValidationError, root: type[BaseModel]) -> list[tuple[Keys, str]]:
    """Each problem's keys and message, with the value where it can be shown."""
    found = error.errors()
    # A list whose items are bad is also called too short.
    below = {one["loc"][:length] for one in found for length in range(len(one["loc"]))}
    deepest = [one for one in found if one["type"] != "too_short" or one["loc"] not in below]
    return [_problem(one, root) for one in deepest]


def unusable_texts(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Each text that no file, host or broker could be given; its value is not said."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from unusable_texts(below, (*keys, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from unusable_texts(below, (*keys, number))
    elif isinstance(value, str):
        if any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in value):
            yield keys, "has line ends or other control characters in it; write it in one line, without"
        elif len(value) > LONGEST_TEXT:
            yield keys, f"has {len(value)} characters; {LONGEST_TEXT} are the most"


def dotted(keys: Keys) -> str:
    """The key's path, for people; a key that is no name is not said, it may be anything."""
    names = (str(key) if isinstance(key, int) or _KEY.fullmatch(key) else "(no name)" for key in keys)
    return ".".join(names) or "settings"


def _problem(problem: Any, root: type[BaseModel]) -> tuple[Keys, str]:
    keys, kind = _without_tags(problem["loc"]), problem["type"]
    if kind == "extra_forbidden":
        return keys, _unknown(problem["loc"], keys, root)
    context, value = problem.get("ctx", {}), problem["input"]
    words = shown(_message(kind, context, problem["msg"], value))
    return keys, f"{words}{_got(value, keys, kind)}{_meant(kind, context, value)}"


def _message(kind: str, context: Mapping[str, Any], message: str, value: Any) -> str:
    if (
        kind in ("int_type", "int_parsing")
        and isinstance(value, str)
        and re.fullmatch(r"[-+]?\d{19,}", value)
    ):
        return "has too many digits"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], message)
    words = _WORDS.get(kind)
    return words.format(**context) if words else message


def _without_tags(keys: Keys) -> Keys:
    """A tagged union puts the tag into the location; the file has no such key."""
    if keys[2:3] == ("source",):
        return keys[:3] + keys[4:]
    if keys[:1] == ("gateways",):
        return keys[:2] + keys[3:]
    if keys[:1] == ("outputs",) and keys[2:3] in (("tracking",), ("gate",)):
        return keys[:3] + keys[4:]
    return keys


def _unknown(location: Keys, keys: Keys, root: type[BaseModel]) -> str:
    key = str(keys[-1])
    section = _section(location, keys, root)
    there = [] if section is None else list(section.model_fields)
    file_key = _SECRET_KEYS.get(key.lower())
    if file_key is not None and (not there or file_key in there):
        return f"unknown key; secrets do not stand in settings: write it to a file, name that in {file_key}"
    nested = [place for place in shape.places_of(root) if len(place) > 1]
    elsewhere = [place for place in nested if place[-1] == key]
    near = get_close_matches(key.lower(), there, 1, 0.6)
    if near and not elsewhere:
        return f"unknown key; did you mean {near[0]}?"
    if not elsewhere:
        names = get_close_matches(key.lower(), {place[-1] for place in nested}, 1, 0.75)
        elsewhere = [place for place in nested if names and place[-1] == names[0]]
    if elsewhere:
        name = elsewhere[0][-1]
        sections = sorted({".".join(place[:-1]) for place in elsewhere})
        under = " or ".join(sections)
        start = "it belongs" if name == key else f"did you mean {name}? It belongs"
        return f"unknown key here; {start} under {under}"
    return f"unknown key; there are {', '.join(there)}" if there else "unknown key; see config/agent.yaml"


def _section(location: Keys, keys: Keys, root: type[BaseModel]) -> type[BaseModel] | None:
    """The section that has the unknown key; the tag says which, where it comes in kinds."""
    candidates = shape.sections(shape.kinds_at(root, keys[:-1]))
    tags = set(location) - set(keys)
    chosen = [
        one for one in candidates if "kind" in one.model_fields and one.model_fields["kind"].default in tags
    ]
    return next(iter(chosen or candidates), None)


def _got(value: Any, keys: Keys, kind: str) -> str:
    """The value, unless it is a whole section, or stands where a secret could."""
    if isinstance(value, dict | list):
        return ""
    if value is None:
        return " (got nothing)"
    if not isinstance(value, str):
        return "" if keys and _SECRET.search(str(keys[-1])) else f" (got {value!r})"
    key = next((key for key in reversed(keys) if isinstance(key, str)), "")
    if _SECRET.search(key) or (value and key == "host") or "://" in value or "@" in value:
        return ""
    if kind in ("model_type", "model_attributes_type", "dict_type", "tuple_type", "list_type"):
        return " (got text)"
    short = value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "..."
    return f" (got {shown(repr(short))})"


def _meant(kind: str, context: Mapping[str, Any], value: Any) -> str:
    if kind == "literal_error" and isinstance(value, str):
        words, asked = re.findall(r"'([^']*)'", context["expected"]), value
    elif kind == "union_tag_invalid":
        words, asked = re.findall(r"'([^']*)'", context["expected_tags"]), context["tag"]
    else:
        return ""
    near = get_close_matches(asked.lower(), words, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


_WORDS = {
    "missing": "required key is missing",
    "union_tag_invalid": "kind must be one of {expected_tags}",
    "union_tag_not_found": "kind is missing; see config/agent.yaml for the kinds there are",
    "value_error": "{error}",
}

_PATTERNS = {
    WEB_ADDRESS: "is no address that can be used; write https://HOST:PORT and a path in ASCII, without user"
    " and password: a secret stands in secret_file",
    OPCUA_ADDRESS: "is no address of an OPC UA server; write opc.tcp://HOST:PORT and a path, without user and"
    " password",
    SPARKPLUG_NAME: "write 1 to 64 characters without +, /, # and spaces",
    IDENTIFIER: "write 1 to 64 of the characters a-z, 0-9, _ and -; no capitals, no spaces, no dots",
}
