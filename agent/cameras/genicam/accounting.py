"""Which blocks and lines are missing, from block ids and line counters; no I/O."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from agent.cameras.genicam.counters import blocks_between, unwrapped, unwrapped_signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a block belongs."""

    frame_id: int  # grows by one with each block of the camera, missing ones included
    blocks_missing: int  # between the one that came before and this
    first_line: int
    lines_lost: int  # between the last line before that was given out and this block


class Accounts:
    """One camera's books. `begin` starts a connection, whose block ids start anew.

    Lines have the camera's own counter where it gives one; a gap is then exact, also over a reconnect
    in which the camera went on counting. Without one they are counted in whole blocks of `block_lines`,
    and what passed during a reconnect is not known.
    """

    def __init__(self) -> None:
        self._frame_id = -1
        self._block_id: int | None = None
        self._unseen = 0  # blocks that are missing or incomplete since the last complete one
        self._next_line: int | None = None
        self._encoder: int | None = None
        self._has_begun = False

    def begin(self) -> None:
        self._block_id = self._encoder = None
        self._has_begun = True

    def incomplete(self, block_id: int) -> tuple[int, int]:
        """The frame id of a block without a picture, and how many are missing before it."""
        missing = self._count(block_id)
        self._unseen += 1
        return self._frame_id, missing

    def complete(self, *, block_id: int, counter: int | None, lines: int, block_lines: int) -> Place:
        """Where a block of so many lines belongs."""
        missing = self._count(block_id)
        first_line, lost = self._find(counter, block_lines)
        self._has_begun, self._unseen = False, 0
        self._next_line = first_line + lines
        return Place(frame_id=self._frame_id, blocks_missing=missing, first_line=first_line, lines_lost=lost)

    def encoder(self, raw: int | None) -> int | None:
        """The encoder without its wraps."""
        if raw is None:
            return None
        self._encoder = raw if self._encoder is None else unwrapped_signed(self._encoder, raw)
        return self._encoder

    def _count(self, block_id: int) -> int:
        # Ids that go back belong to a camera that began anew: then nothing is known to be missing.
        later = 1 if self._block_id is None else max(1, blocks_between(self._block_id, block_id))
        self._block_id = block_id
        self._frame_id += later
        self._unseen += later - 1
        return later - 1

    def _find(self, counter: int | None, block_lines: int) -> tuple[int, int]:
        """First line, and how many are missing before it."""
        if counter is None:
            lost = self._unseen * block_lines
            return (self._next_line or 0) + lost, lost
        if self._next_line is None:
            return counter, 0
        first_line = unwrapped(self._next_line, counter)
        if self._has_begun and first_line < self._next_line:
            return counter, 0
        return first_line, max(0, first_line - self._next_line)


@dataclass(slots=True)
class Books:
    """What is known of one camera over all its connections, each of which has accounts of its own.

    A connection that was given up may still be closing while the next one counts.
    """

    latest: Accounts = field(default_factory=Accounts)

    def turn_over(self) -> Accounts:
        """The accounts of a new connection, which go on where the latest stand now."""
        self.latest = copy.copy(self.latest)
        self.latest.begin()
        return self.latest
