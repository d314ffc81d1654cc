"""Pictures in memory that two processes share: a ring of slots, each with the number of what it holds.

The writer fills a slot only after the reader has given it back, so no picture is ever torn; the number
in front of the picture, written last, proves it to the reader. The memory has no name, and vanishes with
the processes.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from agent.messages import Pixels

HEADER_BYTES = 64  # the number, and the pictures stay on cache lines of their own


class Slots:
    """`count` slots for pictures of up to `size_bytes`, over a memory handle."""

    def __init__(self, handle: int, count: int, size_bytes: int) -> None:
        self._step_bytes = HEADER_BYTES + -(-size_bytes // HEADER_BYTES) * HEADER_BYTES
        self._memory = mmap.mmap(handle, count * self._step_bytes)

    @staticmethod
    def allocate(count: int, size_bytes: int) -> int:
        """A handle to memory for so many slots; the caller closes it."""
        handle = os.memfd_create("plumbline-frames")
        os.ftruncate(handle, count * (HEADER_BYTES + -(-size_bytes // HEADER_BYTES) * HEADER_BYTES))
        return handle

    def write(self, slot: int, number: int, picture: Pixels) -> None:
        """Copy a picture in, then its number."""
        at = slot * self._step_bytes
        target = np.frombuffer(self._memory, np.uint8, picture.size, at + HEADER_BYTES)
        np.copyto(target, picture.reshape(-1))
        self._number(at)[0] = number

    def read(self, slot: int, number: int, shape: tuple[int, ...]) -> Pixels | None:
        """A copy of the picture; None when the slot holds another one, before or after the copy."""
        at = slot * self._step_bytes
        header = self._number(at)
        if header[0] != number:
            return None
        size = int(np.prod(shape))
        picture = np.frombuffer(self._memory, np.uint8, size, at + HEADER_BYTES).reshape(shape).copy()
        return picture if header[0] == number else None

    def close(self) -> None:
        self._memory.close()

    def _number(self, at: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.frombuffer(self._memory, np.int64, 1, at)
