"""What the process has freed goes back to the system."""

from __future__ import annotations

import os
from pathlib import Path

from agent.engines.heap import trim_heap

PIECE_BYTES = 100_000  # below what glibc maps apart, and gives back of itself
PIECES = 1_000


def test_what_was_freed_below_something_that_lives_is_given_back() -> None:
    pieces = [bytes([index % 251]) * PIECE_BYTES for index in range(PIECES)]
    last = pieces[-1]
    before = _resident_bytes()
    pieces.clear()
    trim_heap()
    assert before - _resident_bytes() > PIECES * PIECE_BYTES // 2
    assert last[0] == (PIECES - 1) % 251


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
