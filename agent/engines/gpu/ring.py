"""A ring of slots on a device: while one batch is computed the next is uploaded and the last copied back.

Rules:
1. A slot is one batch in flight: its buffers are not touched between `submit` and the end of `wait`.
2. Answers come in the order of the tiles, whichever slot is done first.
3. After an error nothing of that run is believed. The run's slots are drained; one that cannot be drained is
   never used again, and with none left for a batch size the device counts as lost.
4. Several threads may run at once; a thread that waits for a slot holds none, so none waits for ever.

What is not here: CUDA. A slot is any device's; `torch_cuda.py` and `cuda_runtime.py` make real ones.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.engines.batches import in_batches, joined
from agent.engines.engine import BATCHES, Answer, Description, DeviceLost
from agent.messages import Pixels

SLOTS = {4: 3, 1: 2}  # for each batch size: one uploads, one computes, one copies back; single tiles are rare


class Slot(Protocol):
    """Pinned buffers, a stream, a captured graph and an event, for one batch size."""

    def submit(self, tiles: Pixels, *, restored: bool) -> None:
        """Queue upload, computation and copy back, and return; `tiles` may change afterwards."""

    def wait(self) -> Answer:
        """The submitted batch's results, as copies."""

    def drain(self) -> None:
        """Until nothing that was queued is running, whatever came of it. Raises when the device is gone."""

    def close(self) -> None: ...


class Ring:
    """Who may use which slot."""

    def __init__(self, slots: Mapping[int, Sequence[Slot]]) -> None:
        self._free = {size: deque(found) for size, found in slots.items()}
        self._usable = {size: len(found) for size, found in slots.items()}
        self._all = [slot for found in slots.values() for slot in found]
        self._changed = threading.Condition()

    def take_free(self, size: int) -> Slot | None:
        """A free slot now, or None. Raises DeviceLost when there will never be one."""
        with self._changed:
            return self._take(size)

    def take(self, size: int) -> Slot:
        """A free slot as soon as another thread gives one back. Raises DeviceLost."""
        with self._changed:
            while (slot := self._take(size)) is None:
                self._changed.wait()
            return slot

    def give_back(self, size: int, slot: Slot) -> None:
        with self._changed:
            self._free[size].append(slot)
            self._changed.notify_all()

    def lose(self, size: int) -> None:
        """A slot of this size is never given back."""
        with self._changed:
            self._usable[size] -= 1
            self._changed.notify_all()

    def close(self) -> None:
        for slot in self._all:
            slot.close()

    def _take(self, size: int) -> Slot | None:
        if not self._usable[size]:
            raise DeviceLost(
                f"no slot for batches of {size} is left after errors of the device; restart the agent"
            )
        return self._free[size].popleft() if self._free[size] else None


Loop = Callable[[Ring, Pixels, bool], Answer]


def one_by_one(ring: Ring, tiles: Pixels, restored: bool) -> Answer:
    """The plain twin of `overlapped`: each batch is done before the next begins."""
    answers = []
    for batch in in_batches(tiles, BATCHES):
        slot = ring.take(len(batch))
        try:
            slot.submit(batch, restored=restored)
            answers.append(slot.wait())
        except BaseException:
            _drain(ring, [(len(batch), slot)])
            raise
        ring.give_back(len(batch), slot)
    return joined(answers)


def overlapped(ring: Ring, tiles: Pixels, restored: bool) -> Answer:
    """As many batches at once as there are slots."""
    answers: list[Answer] = []
    flying: deque[tuple[int, Slot]] = deque()
    try:
        for batch in in_batches(tiles, BATCHES):
            slot = ring.take_free(len(batch))
            while slot is None and flying:
                answers.append(_land(ring, flying))
                slot = ring.take_free(len(batch))
            if slot is None:
                slot = ring.take(len(batch))
            flying.append((len(batch), slot))
            slot.submit(batch, restored=restored)
        while flying:
            answers.append(_land(ring, flying))
    except BaseException:
        _drain(ring, flying)
        raise
    return joined(answers)


class RingEngine:
    """An engine over a ring; `loop` is one of the two functions above."""

    def __init__(self, ring: Ring, description: Description, loop: Loop = overlapped) -> None:
        self._ring = ring
        self._description = description
        self._loop = loop

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        return self._loop(self._ring, tiles, restored)

    def describe(self) -> Description:
        return self._description

    def close(self) -> None:
        self._ring.close()


def _land(ring: Ring, flying: deque[tuple[int, Slot]]) -> Answer:
    size, slot = flying[0]
    answer = slot.wait()
    flying.popleft()
    ring.give_back(size, slot)
    return answer


def _drain(ring: Ring, flying: Sequence[tuple[int, Slot]] | deque[tuple[int, Slot]]) -> None:
    for size, slot in flying:
        try:
            slot.drain()
        except Exception:
            ring.lose(size)  # the run's own error is the one to tell
        else:
            ring.give_back(size, slot)
