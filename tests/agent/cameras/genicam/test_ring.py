"""A picture stays as it is while anybody refers to it, and the camera never runs dry because of that."""

from __future__ import annotations

import gc
import threading

import numpy as np

from agent.cameras.genicam.ring import Ring


def write(ring: Ring, slot: int, value: int) -> None:
    """As the driver does: straight into memory."""
    ring.look(slot, ring.slot_bytes)[:] = value


def test_a_picture_is_the_memory_that_packets_are_written_to() -> None:
    ring = Ring(4, 100)
    picture = ring.lend(2, 60)
    write(ring, 2, 7)
    assert picture.shape == (60,) and (picture == 7).all()
    assert picture.ctypes.data == ring.address(2)


def test_a_slot_comes_back_when_the_last_view_of_its_picture_is_gone() -> None:
    ring = Ring(4, 100)
    lines = ring.lend(2, 100).reshape(10, 10, 1)
    part = lines[3:5, :, 0]
    del lines
    gc.collect()
    assert list(ring.returned()) == []
    del part
    gc.collect()
    assert list(ring.returned()) == [2]
    assert list(ring.returned()) == []


def test_once_half_of_the_slots_are_out_pictures_are_copies_and_their_slots_come_back_at_once() -> None:
    ring = Ring(4, 100)
    kept = [ring.lend(slot, 100) for slot in (0, 1)]
    write(ring, 2, 5)
    copy = ring.lend(2, 100)
    assert list(ring.returned()) == [2] and ring.copied == 1
    write(ring, 2, 9)
    assert (copy == 5).all()
    kept.clear()
    gc.collect()
    assert sorted(ring.returned()) == [0, 1]
    assert ring.lend(3, 100).ctypes.data == ring.address(3)


def test_a_picture_outlives_its_ring() -> None:
    ring = Ring(4, 100_000)
    write(ring, 0, 3)
    picture = ring.lend(0, 100_000)
    del ring
    gc.collect()
    assert (picture == 3).all()


def test_pictures_may_be_dropped_by_any_thread() -> None:
    ring = Ring(64, 16)
    pictures = [[ring.lend(slot, 16)] for slot in range(32)]
    threads = [threading.Thread(target=one.clear) for one in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ring.returned()) == list(range(32))
    assert np.shares_memory(ring.lend(0, 16), ring.look(0, 16))
