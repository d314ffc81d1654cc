"""Blocks of one camera arrive one after the other, however busy the machine is while it reads its clocks."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.genicam.session import Block, Session
from agent.clock import ManualClock
from agent.settings.camera import GenicamSource

MS = 1_000_000


class BusyClock(ManualClock):
    """Time passes after the wall clock is read."""

    def __init__(self, pauses_ms: list[int]) -> None:
        super().__init__()
        self.pauses_ms = iter(pauses_ms)

    def utc_now(self):  # type: ignore[no-untyped-def]
        now = super().utc_now()
        self.advance(next(self.pauses_ms) / 1000)
        return now


class Given:
    """A session that gives blocks which arrived every 2 ms and are read 5 ms later."""

    def __init__(self, clock: ManualClock, blocks: int) -> None:
        self.clock = clock
        first_ns = round(ManualClock.utc_now(clock).timestamp() * 1e9)
        self.arrivals_ns = iter([first_ns + number * 2 * MS for number in range(blocks)])
        self.number = 0

    def take(self, timeout_s: float) -> Block:
        self.number += 1
        self.clock.advance(0.005 if self.number == 1 else 0.0)
        return Block(
            block_id=self.number,
            image=np.zeros((8, 8, 1), np.uint8),
            bit_depth=8,
            problem="",
            device_ns=0,
            utc_ns=next(self.arrivals_ns),
            counter=None,
            encoder=None,
            line_status=None,
        )


@given(st.lists(st.integers(0, 20), min_size=2, max_size=20))
def test_moments_of_blocks_rise_whatever_comes_between_two_looks_at_the_clocks(pauses_ms: list[int]) -> None:
    clock = BusyClock(pauses_ms)
    camera = GenicamCamera("top", GenicamSource(address="192.0.2.20", scan="line"), clock)
    camera._session = cast(Session, Given(clock, len(pauses_ms)))
    moments = [camera.grab(1.0) for _ in pauses_ms]
    taken = [moment.captured_ns for moment in moments if moment is not None]
    assert len(taken) == len(pauses_ms)
    assert all(one < other for one, other in pairwise(taken))
    assert taken[-1] <= clock.monotonic_ns() + len(taken)
