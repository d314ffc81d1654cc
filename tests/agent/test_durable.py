"""A file or link of our own is whole and for good, or the one before stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.durable import replace_file, replace_link, unfinished_of


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ".kept"
    replace_file(path, [b"one"])
    replace_file(path, [b"t", b"wo"])
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]


def test_one_that_cannot_be_finished_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    replace_file(path, [b"one"])

    def cut() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        replace_file(path, cut())
    assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]


def test_a_link_names_another_whatever_a_crash_has_left_or_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "current"
    unfinished_of(path).symlink_to("half")
    for name in ("a", "b"):
        replace_link(path, name)
        assert str(path.readlink()) == name and list(tmp_path.iterdir()) == [path]
    replace_link(path, None)
    assert not list(tmp_path.iterdir())
