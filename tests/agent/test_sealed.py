"""What was written is read, whoever wrote it, and anything else is not."""

from __future__ import annotations

from typing import Any

import pytest

from agent.sealed import UnsealedError, digest, seal, unseal

CONTENT: dict[str, Any] = {"b": [1, 2.5, None, True], "a": {"é": "ü"}}


def test_what_was_sealed_is_read_and_its_order_does_not_count() -> None:
    data = seal(CONTENT, kind="plumbline.some/1", name="record")
    assert unseal(data, kind="plumbline.some/1", name="record") == CONTENT
    assert digest({"a": CONTENT["a"], "b": CONTENT["b"]}) == digest(CONTENT)


def test_a_file_that_an_earlier_version_wrote_is_read() -> None:
    sha256 = "cb87f8a889de167df17a2b6a94cb3d2fd89e22170cddf09b8404ef887cecd5b1"
    data = f'{{\n "format": "plumbline.rollout/1",\n "sha256": "{sha256}",\n "record": {{"counter": 3}}\n}}'
    for before in (data, data + "\n"):
        assert unseal(before.encode(), kind="plumbline.rollout/1", name="record") == {"counter": 3}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\0\0",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "plumbline.some/1"}',
        seal(CONTENT, kind="plumbline.some/2", name="record"),
        seal(CONTENT, kind="plumbline.some/1", name="content"),
        seal(CONTENT, kind="plumbline.some/1", name="record").replace(b"2.5", b"2.6"),
        seal(CONTENT, kind="plumbline.some/1", name="record")[:-3],
    ],
)
def test_anything_else_is_not(data: bytes) -> None:
    with pytest.raises(UnsealedError):
        unseal(data, kind="plumbline.some/1", name="record")
