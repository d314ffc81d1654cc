"""What stations promise: their topics, their JSON, and the two ways in which something can be wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

_ID = "[a-z0-9_-]{1,64}"
OTHERS = ("head", "actuation", "part/+")  # records that are kept as they are, for the chain
TOPIC = re.compile(
    rf"(plumbline/v1(?:/{_ID}){{3}}/({_ID}))/"
    rf"(?:(verdict|crop|part)/{_ID}|(status|event|mark|head|actuation))"
)


class ConsumerError(Exception):
    """What a person has to mend."""


class UnreadableError(Exception):
    """A message that is not what its topic promises."""


class Place(NamedTuple):
    """Where a message comes from; `source` is its topic down to the station."""

    source: str
    station: str
    kind: str  # verdict, crop, status, event, mark, or one of OTHERS


def place(topic: str) -> Place:
    """Raises UnreadableError for a topic that no station has."""
    found = TOPIC.fullmatch(topic)
    if found is None:
        raise UnreadableError("not the topic of a verdict, crop, status, event, mark or head")
    return Place(found[1], found[2], found[3] or found[4])


def parse(payload: bytes, schema: str) -> tuple[dict[str, Any], str]:
    """The object in `payload` and its text. Raises UnreadableError."""
    try:
        text = payload.decode()
        said = json.loads(text)
        if said["schema"] != schema:
            raise UnreadableError(f"schema {said['schema']!r}"[:500])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableError(f"not a {schema}: {error!r}"[:500]) from None
    return said, text


def check_station(said: object, where: Place) -> None:
    """Raises UnreadableError for a record of another station than its topic's, which somebody said again."""
    if isinstance(said, dict) and said.get("station", where.station) != where.station:
        raise UnreadableError(f"station {said['station']!r} on the topic of {where.station!r}"[:500])


def check_texts(texts: Iterable[object]) -> None:
    """Raises UnreadableError unless all are texts that databases hold."""
    for text in texts:
        if not isinstance(text, str) or re.search("[\0\ud800-\udfff]", text):
            raise UnreadableError(f"not a text that databases hold: {text!r}"[:500])


def shown(text: str) -> str:
    """On one line of a terminal, whatever a station or broker wrote."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
