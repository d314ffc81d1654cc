"""What two parsers could read differently is refused in words; everything else is what json says it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.contract.strict_json import LARGEST_INTEGER, MAXIMUM_DEPTH, StrictJsonError, parse

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(-1e300, 1e300)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'[{"b": {"a": 1, "a": 1}}]', "'a' stands twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "too large"),
        (b"9007199254740992", "beyond 9007199254740991"),
        (b"9" * 60_000, "beyond 9007199254740991"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (nested(MAXIMUM_DEPTH + 1), "nested deeper than 16 levels"),
        (nested(60_000), "nested deeper than 16 levels"),
        (b'{"a":' * 40_000, "nested deeper than 16 levels"),
        (b"", "Expecting value at character 0"),
        (b"{} x", "Extra data at character 3"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_bad_json_is_refused_with_its_reason(data: bytes, why: str) -> None:
    with pytest.raises(StrictJsonError, match=why):
        parse(data)


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert parse(nested(MAXIMUM_DEPTH)) == json.loads(nested(MAXIMUM_DEPTH))


@given(JSON)
def test_good_json_is_read_as_it_is(value) -> None:  # type: ignore[no-untyped-def]
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        parse(data)
    except StrictJsonError as error:
        assert str(error)
