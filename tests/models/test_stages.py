"""Every stage says its name, how far it is and how long the rest takes; a log is not filled with it."""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from models.stages import EVERY_S, FIRST_S, LINES_AT_MOST, Lines, spoken, stages_on


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.told: list[tuple[float, str]] = []

    def __call__(self) -> float:
        return self.now_s

    def say(self, line: str) -> None:
        self.told.append((self.now_s, line))

    def lines(self) -> Lines:
        return Lines(self.say, self)


def told(*, steps: int, step_s: Callable[[int], float], done: int = 0, words: str = "") -> Clock:
    clock = Clock()
    with clock.lines().stage("training", steps, done) as step:
        for index in range(done, steps):
            clock.now_s += step_s(index)
            step(words)
    return clock


def test_a_stage_says_its_name_and_size_at_once_and_its_time_at_the_end() -> None:
    clock = told(steps=3, step_s=lambda index: 0.1)
    assert clock.told == [(0.0, "training: 0 of 3"), (pytest.approx(0.3), "training: done in 0.3 s")]


@given(steps=st.integers(2, 400), step_s=st.floats(0.01, 200.0))
def test_lines_come_soon_then_seldom_and_their_estimates_hold(steps: int, step_s: float) -> None:
    clock = told(steps=steps, step_s=lambda index: step_s)
    (_, first), *between, (end_s, last) = clock.told
    assert first == f"training: 0 of {steps}"
    assert last == f"training: done in {spoken(end_s)}"
    assert len(between) <= LINES_AT_MOST + 2
    if steps * step_s > 2 * FIRST_S and steps > 2:
        assert between[0][0] <= FIRST_S + step_s + 1e-6
    for (one_s, _), (other_s, _) in itertools.pairwise(between):
        assert other_s - one_s >= EVERY_S
    for at_s, line in between:
        left = (spoken((end_s - at_s) * share) for share in (1, 0.999, 1.001))  # sums of floats round
        assert any(f"about {one} left" in line for one in left)


def test_a_slow_first_step_spoils_no_estimate() -> None:
    clock = told(steps=10, step_s=lambda index: 60.0 if index == 0 else 2.0)
    assert clock.told[2] == (70.0, "training: 6 of 10, about 8.0 s left")


def test_a_resumed_stage_goes_on_where_it_was() -> None:
    clock = told(steps=100, done=90, step_s=lambda index: 1.0, words="noise 0.5")
    assert clock.told[0] == (0.0, "training: goes on at 90 of 100")
    assert clock.told[1] == (1.0, "training: 91 of 100, about 9.0 s left, noise 0.5")


def test_a_stage_that_fails_is_not_said_to_be_done() -> None:
    clock = Clock()
    with pytest.raises(OSError), clock.lines().stage("writing"):
        raise OSError
    assert [line for _, line in clock.told] == ["writing: begins"]


def test_a_pipe_gets_lines_as_they_stand_and_no_control_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as build servers do
    monkeypatch.delenv("RANK", raising=False)
    written = io.StringIO()
    with stages_on(Console(file=written, width=20)) as stages:
        assert list(stages.over(range(3), "reading pictures of [red]line[/] \x1b[2J 3")) == [0, 1, 2]
    first, last, end = written.getvalue().split("\n")
    assert first.startswith("reading pictures of [red]line[/]")
    assert first.endswith(": 0 of 3")
    assert ": done in " in last
    assert end == ""
    assert "\x1b" not in written.getvalue()


def test_other_processes_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    written = io.StringIO()
    with stages_on(Console(file=written)) as stages:
        assert list(stages.over("ab", "reading")) == ["a", "b"]
    assert written.getvalue() == ""


def all_of(reader: int) -> str:
    """What a terminal got that nobody writes to any more; one read gives 4 KB of it at most."""
    said = b""
    with os.fdopen(reader, "rb", buffering=0) as terminal, suppress(OSError):  # EIO is its end
        while piece := terminal.read(1 << 16):
            said += piece
    return said.decode()


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("RANK", raising=False)
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as file, stages_on(Console(file=file, width=100)) as stages:
        with stages.stage("training", 4, 1) as step:
            for _ in range(3):
                step("noise 0.5")
        with stages.stage("writing [x]"):
            pass
        list(stages.over(range(2), "judging"))
    seen = all_of(reader)
    assert "4/4" in seen
    assert "noise 0.5" in seen
    assert "writing [x]" in seen
    assert re.search("judging.*2/2", seen)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99.4, "99 s"), (180, "3 min"), (7800, "2 h 10 min")],
)
def test_times_are_spoken_as_people_do(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
