"""Overlapped or one by one, the answers are the same; after an error no slot that may be busy is used."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engines.engine import Answer, Description, DeviceLost, OutOfMemory
from agent.engines.gpu.ring import Loop, RingEngine, one_by_one, overlapped
from agent.messages import Pixels
from tests.agent.engines.fake_slots import FakeDevice

LOOPS = (one_by_one, overlapped)
SLOTS = {4: 3, 1: 2}


def tiles(count: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), np.uint8)


def same(one: Answer, other: Answer) -> bool:
    assert one.restored is not None and other.restored is not None
    pairs = ((one.scores, other.scores), (one.maps, other.maps), (one.restored, other.restored))
    return all(np.array_equal(left, right) for left, right in pairs)


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 3))
def test_the_overlapped_loop_answers_as_the_plain_one(count: int, of_four: int, of_one: int) -> None:
    slots = {4: of_four, 1: of_one}
    given_ = tiles(count)
    plain = one_by_one(FakeDevice().ring(slots), given_, True)
    fast = overlapped(FakeDevice().ring(slots), given_, True)
    assert same(plain, fast)
    assert np.array_equal(plain.restored, given_)  # so it is in the order of the tiles


def test_only_the_overlapped_loop_has_several_batches_in_flight() -> None:
    for loop, expected in ((one_by_one, 1), (overlapped, 3)):
        device = FakeDevice()
        loop(device.ring(SLOTS), tiles(24), True)
        assert device.most_flying == expected


@pytest.mark.parametrize("loop", LOOPS)
def test_restorations_stay_on_the_device_when_nobody_asks(loop: Loop) -> None:
    assert loop(FakeDevice().ring(SLOTS), tiles(6), False).restored is None


@given(
    st.lists(st.sampled_from(["good", "submit", "wait", "stuck"]), min_size=1, max_size=12),
    st.integers(1, 20),
    st.sampled_from(LOOPS),
)
def test_whatever_fails_the_next_good_run_is_right_or_the_device_is_lost(
    story: list[str], count: int, loop: Loop
) -> None:
    device = FakeDevice()
    ring = device.ring(SLOTS)
    stuck = 0
    for number, event in enumerate(story):
        error = OutOfMemory("scripted: out of memory")
        device.submit_errors = deque([error] if event == "submit" else [])
        device.wait_errors = deque([error] if event in ("wait", "stuck") else [])
        device.drain_errors = deque([DeviceLost("scripted: gone")] if event == "stuck" else [])
        given_ = tiles(count, seed=number)
        try:
            found = loop(ring, given_, True)
        except OutOfMemory:
            assert event != "good"
            stuck += event == "stuck"
        except DeviceLost as lost:
            assert "no slot for batches of" in str(lost) and stuck
        else:
            assert same(found, one_by_one(FakeDevice().ring(SLOTS), given_, True))
    assert device.flying == stuck  # everything else has landed


@pytest.mark.parametrize("loop", LOOPS)
def test_a_batch_size_without_a_usable_slot_counts_as_a_lost_device(loop: Loop) -> None:
    device = FakeDevice()
    ring = device.ring({4: 1, 1: 1})
    device.wait_errors = deque([DeviceLost("scripted: Xid 79")])
    device.drain_errors = deque([DeviceLost("scripted: Xid 79")])
    with pytest.raises(DeviceLost, match="Xid 79"):
        loop(ring, tiles(4), True)
    with pytest.raises(DeviceLost, match="batches of 4"):
        loop(ring, tiles(4), True)
    assert loop(ring, tiles(1), True).scores.shape == (1,)


@pytest.mark.parametrize("loop", LOOPS)
def test_threads_that_share_a_ring_get_their_own_answers(loop: Loop) -> None:
    device = FakeDevice(takes_s=0.001)
    engine = RingEngine(
        device.ring({4: 2, 1: 1}),
        Description(name="fake", runtime="fake", device="fake", precision="f32"),
        loop,
    )
    wrong: list[int] = []

    def work(seed: int) -> None:
        for count in (9, 1, 6, 4, 3):
            given_ = tiles(count, seed)
            if not np.array_equal(engine.run(given_).restored, given_):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)
    assert device.flying == 0


def test_a_thread_that_waits_for_a_slot_hears_that_it_was_lost() -> None:
    device = FakeDevice()
    ring = device.ring({4: 1, 1: 1})
    ring.take(4)
    heard: list[str] = []

    def wait() -> None:
        try:
            ring.take(4)
        except DeviceLost as error:
            heard.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    ring.lose(4)
    waiting.join(60)
    assert "restart the agent" in heard[0]
