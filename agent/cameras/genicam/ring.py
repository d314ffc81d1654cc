"""The memory into which packets are written, lent out without a copy and taken back by itself.

The rule for whoever gets a picture: it stays as it is for as long as anything refers to it or to a part of
it. Its slot goes back to the camera when the last reference is gone, so nobody has to say that they are done.
Whoever keeps many gets copies: once half of the slots are out, a picture is copied, and the camera never
runs dry because of a slow consumer.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator

import numpy as np

from agent.messages import Pixels


class Ring:
    """`slots` pieces of `slot_bytes`; for one thread, except that pictures may be dropped by any."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self._memory = np.empty((slots, slot_bytes), np.uint8)
        self._returned: deque[int] = deque()  # a finaliser may run anywhere: it only appends
        self._out = 0
        self.copied = 0

    def __len__(self) -> int:
        return len(self._memory)

    def address(self, slot: int) -> int:
        """Where in memory a slot begins; valid for as long as the ring is referred to."""
        return int(self._memory[slot].ctypes.data)

    def lend(self, slot: int, size_bytes: int) -> Pixels:
        """The first bytes of a slot, which is out until every view of them is gone; a copy when half are."""
        if 2 * self._out >= len(self):
            self.copied += 1
            picture: Pixels = self._memory[slot, :size_bytes].copy()
            self._returned.append(slot)
        else:
            # From a memoryview, because views of a view of an array would refer to the array alone.
            picture = np.frombuffer(self._memory[slot].data, np.uint8, size_bytes)
            weakref.finalize(picture, self._returned.append, slot).atexit = False
        self._out += 1
        return picture

    def look(self, slot: int, size_bytes: int) -> Pixels:
        """The first bytes of a slot for a moment; the slot is not lent."""
        picture: Pixels = self._memory[slot, :size_bytes]
        return picture

    def returned(self) -> Iterator[int]:
        """The slots that came back since the last call."""
        while self._returned:
            self._out -= 1
            yield self._returned.popleft()
