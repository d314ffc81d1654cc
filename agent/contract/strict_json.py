"""JSON from strangers, without its ambiguities: what two parsers could read differently is refused.

Refused are duplicate keys, NaN and infinities, integers that a double does not hold exactly
(RFC 7493), text that is not Unicode, and nesting deeper than MAXIMUM_DEPTH.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAXIMUM_DEPTH = 16
LARGEST_INTEGER = 2**53 - 1
_LONGEST_INTEGER = len(str(-LARGEST_INTEGER))


class StrictJsonError(ValueError):
    """What is wrong, in a few words; the caller knows where."""


def parse(data: bytes) -> Any:
    """The value in `data`. Raises StrictJsonError, and nothing else."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except StrictJsonError:
        raise
    except RecursionError:
        raise StrictJsonError(f"nested deeper than {MAXIMUM_DEPTH} levels") from None
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"{error.msg} at character {error.pos}") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise StrictJsonError(f"the key {key[:64]!r} stands twice in one object")
        made[key] = value
    return made


def _constant(text: str) -> Any:
    raise StrictJsonError(f"{text} is not JSON")


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER or abs(int(text)) > LARGEST_INTEGER:
        raise StrictJsonError(f"the integer {text[:20]} is beyond {LARGEST_INTEGER}")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise StrictJsonError(f"the number {text[:20]} is too large")
    return value


def _check(value: Any) -> None:
    """The depth, and that every text can be written as UTF-8 again."""
    level = [value]
    for _ in range(MAXIMUM_DEPTH + 1):
        inside: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inside += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                inside += one
            elif isinstance(one, str):
                _check_text(one)
        if not inside and not any(isinstance(one, dict | list) for one in level):
            return
        level = inside
    raise StrictJsonError(f"nested deeper than {MAXIMUM_DEPTH} levels")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise StrictJsonError("a text has half of a surrogate pair") from None
