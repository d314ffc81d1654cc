"""A file of others is read within its bound, or refused in words and at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.settings import bounded, settings
from agent.settings.bounded import UnreadableError
from agent.settings.settings import SettingsError


def test_a_regular_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert bounded.read(path, max_bytes=5) == bounded.read(tmp_path / "link", max_bytes=5) == b"12345"
    with pytest.raises(UnreadableError, match="larger than 4 bytes"):
        bounded.read(path, max_bytes=4)


@pytest.fixture
def odd(tmp_path: Path) -> list[Path]:
    """Everything that is no settings file."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    texts = {
        "utf16": "version: 1\n".encode("utf-16"),
        "utf32": "version: 1\n".encode("utf-32"),
        "latin": b"a: \xe9\n",
        "nul": b"a: \0\n",
        "deep": b"[" * 20_000,
        "deeper": b"{a: " * 20_000,
        "dashes": b"- " * 20_000,
        "wide": b"a: [" + b"1," * 100_000 + b"]",
        "big": b"a: " + b"x" * 10_000_000,
        "escape\x1b[31m": b"[",
    }
    for name, data in texts.items():
        (tmp_path / name).write_bytes(data)
    names = [*texts, "fifo", "loop", "none", "none/none"]
    return [*(tmp_path / name for name in names), Path("/dev/zero"), Path("/dev/null"), tmp_path]


def test_what_is_no_settings_file_is_refused_in_one_line_and_quickly(odd: list[Path]) -> None:
    for path in odd:
        began = time.monotonic()
        with pytest.raises(SettingsError) as caught:
            settings.load(path, {})
        assert time.monotonic() - began < 5.0, path
        (problem,) = caught.value.problems
        assert len(problem.splitlines()) == 1 and problem.isprintable() and "Errno" not in problem
