"""The line never sees an engine closed under it, and a frame is judged by one engine."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
import pytest

from agent.engines.engine import Answer, DeviceLost, EngineError
from agent.engines.serving import Serving
from agent.engines.switch import NONE, Switch
from agent.messages import Pixels
from tests.fakes import FakeEngine, good_picture

TILES = good_picture()[None]


class Slow(FakeEngine):
    """Stays in `run` until let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.entered, self.go = threading.Event(), threading.Event()

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        self.entered.set()
        assert self.go.wait(60)
        return FakeEngine.run(self, tiles, restored=restored)


def test_without_an_engine_a_run_says_why() -> None:
    switch = Switch()
    with pytest.raises(EngineError, match="no engine serves: no engine has been opened yet"):
        switch.run(TILES)
    assert switch.describe() == NONE


def test_an_old_engine_is_closed_after_its_last_frame() -> None:
    switch, slow, new = Switch(), Slow("old"), FakeEngine(name="new")
    switch.serve(slow)
    answers: list[Answer] = []
    line = threading.Thread(target=lambda: answers.append(switch.run(TILES)))
    line.start()
    assert slow.entered.wait(60)
    switch.serve(new)
    assert switch.run(TILES).engine == "new"
    assert not slow.closed
    slow.go.set()
    line.join(60)
    assert slow.closed and not new.closed
    assert answers[0].engine == "old"


def test_swaps_under_running_lines_lose_no_frame_and_close_every_engine_but_the_last() -> None:
    switch = Switch()
    engines = [FakeEngine(name=f"engine{number}") for number in range(200)]
    switch.serve(engines[0])
    stop, problems, seen = threading.Event(), [], set()

    def line() -> None:
        try:
            while not stop.is_set():
                seen.add(switch.run(TILES).engine)
        except BaseException as error:
            problems.append(error)

    lines = [threading.Thread(target=line) for _ in range(3)]
    for one in lines:
        one.start()
    for engine in engines[1:]:
        switch.serve(engine)
    stop.set()
    for one in lines:
        one.join(60)
    assert problems == []
    assert [engine.closed for engine in engines] == [True] * 199 + [False]
    switch.close()
    assert engines[-1].closed


def test_a_run_that_does_not_come_back_shows_by_its_age() -> None:
    now = [100.0]
    switch, slow = Switch(lambda: now[0]), Slow("stuck")
    switch.serve(slow)
    line = threading.Thread(target=lambda: switch.run(TILES))
    line.start()
    assert slow.entered.wait(60)
    now[0] = 161.0
    assert switch.longest_s() == 61.0
    assert "Engine stuck has not answered for more than 60 s" in Serving([], switch).words()[0]
    slow.go.set()
    line.join(60)
    assert switch.longest_s() == 0.0


def test_a_lost_device_takes_the_engine_down_at_once_with_its_words() -> None:
    switch, engine = Switch(), FakeEngine(failures=deque([DeviceLost("GPU: fell off the bus; restart")]))
    switch.serve(engine)
    with pytest.raises(DeviceLost):
        switch.run(TILES)
    assert switch.down.is_set() and engine.closed
    with pytest.raises(EngineError, match="fake-f32 lost its device: GPU: fell off the bus"):
        switch.run(TILES)
    switch.serve(FakeEngine(name="next"))
    assert not switch.down.is_set()
    assert switch.run(TILES).engine == "next"


def test_one_failure_is_told_and_forgiven() -> None:
    switch = Switch()
    switch.serve(FakeEngine(failures=deque([RuntimeError("hiccup")])))
    with pytest.raises(RuntimeError, match="hiccup"):
        switch.run(TILES)
    assert switch.run(TILES).engine == "fake-f32"
    assert not switch.down.is_set()


def test_answers_that_are_no_numbers_are_passed_on_and_the_third_takes_the_engine_down() -> None:
    class Lost(FakeEngine):
        def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
            nothing = np.full((1, 8, 8), np.nan, np.float32)
            return Answer(scores=nothing[:, 0, 0], maps=nothing, restored=None, engine="lost")

    switch = Switch()
    switch.serve(Lost())
    for _ in range(3):
        assert np.isnan(switch.run(TILES).scores).all()  # judged undecided, reason not_finite
    assert switch.down.is_set()
    assert "no numbers" in switch.reason()


def test_an_answer_says_in_which_precision_it_was_computed() -> None:
    switch = Switch()
    switch.serve(FakeEngine(precision="bf16"))
    assert switch.run(TILES).precision == "bf16"
    switch.serve(FakeEngine())
    assert switch.run(TILES).precision == "f32"
