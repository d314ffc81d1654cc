"""Damage begins another run; damage that comes again at once, or at a stop, ends the agent."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agent.clock import ManualClock
from agent.crew import Crew
from agent.errors import PlumblineError
from agent.outbox.file import DamagedError
from agent.outbox.mended import MENDED_S, run_mended


class Runs:
    """Ends each run as told, after so many seconds."""

    def __init__(self, *ends: tuple[float, Exception | None]) -> None:
        self.clock = ManualClock()
        self.crews: list[Crew] = []
        self.asked = threading.Event()
        self._ends = iter(ends)

    def run(self, crew: Crew) -> None:
        self.crews.append(crew)
        lasted_s, error = next(self._ends)
        self.clock.advance(lasted_s)
        if error is not None:
            raise error

    def play(self) -> None:
        signals: Callable[[Crew], threading.Event] = lambda crew: self.asked  # noqa: E731
        run_mended(self.run, signals, self.clock)


DAMAGE = DamagedError("damaged")


def test_each_run_after_damage_has_a_crew_of_its_own() -> None:
    runs = Runs((1, DAMAGE), (MENDED_S + 1, DAMAGE), (1, None))
    runs.play()
    assert len({id(crew) for crew in runs.crews}) == 3


def test_damage_that_comes_again_at_once_is_for_people() -> None:
    runs = Runs((1, DAMAGE), (MENDED_S - 1, DAMAGE), (1, None))
    with pytest.raises(DamagedError):
        runs.play()
    assert len(runs.crews) == 2


def test_who_asked_for_the_end_gets_it() -> None:
    runs = Runs((1, DAMAGE), (1, None))
    runs.asked.set()
    with pytest.raises(DamagedError):
        runs.play()


def test_other_failures_end_the_agent() -> None:
    with pytest.raises(PlumblineError, match="camera"):
        Runs((1, PlumblineError("camera"))).play()
