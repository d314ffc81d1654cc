"""A file or link of our own is whole and for good, or the one before stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.durable import PRIVATE, replace_file, replace_link, unfinished_of


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ".kept"
    replace_file(path, [b"one"])
    replace_file(path, [b"t", b"wo"])
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_may_hold_a_login_is_read_by_nobody_else(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"before")
    unfinished_of(path).write_bytes(b"half")
    unfinished_of(path).chmod(0o666)
    before = os.umask(umask)
    try:
        replace_file(path, [b"login"], mode=PRIVATE)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"login" and path.stat().st_mode & 0o137 == 0


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
