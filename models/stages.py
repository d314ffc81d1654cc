"""How far a command is, stage by stage: bars on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent.foreign import shown

FIRST_S = 1.0  # an estimate of less is worth no line
EVERY_S = 10.0
LINES_AT_MOST = 100  # of a stage, so that a run of days fills no log

T = TypeVar("T")
Step = Callable[[str], None]  # one more is done; with words about it


class Stages:
    """Says nothing; the others say how far each stage is."""

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Step]:
        """A stage of `total` steps, `done` of them earlier; None where they cannot be counted."""
        yield lambda words: None

    def over(self, things: Sequence[T], name: str) -> Iterator[T]:
        """Each of `things`, the work between two of them being one step of the stage."""
        with self.stage(name, len(things)) as step:
            for thing in things:
                yield thing
                step("")


SILENT = Stages()


class Lines(Stages):
    """Name and size at the start, a line soon after with an estimate, others seldom, the time at the end."""

    def __init__(self, say: Callable[[str], None], now_s: Callable[[], float]) -> None:
        self._say, self._now_s = say, now_s

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Step]:
        counted = "" if total is None else f" 0 of {total}" if not done else f" goes on at {done} of {total}"
        self._say(f"{name}:{counted or ' begins'}")
        pace = _Pace(self._now_s(), total, done)

        def step(words: str) -> None:
            left_s = pace.step(self._now_s())
            if left_s is not None:
                about = f"{name}: {pace.done} of {total}, about {spoken(left_s)} left"
                self._say(f"{about}, {words}" if words else about)

        yield step
        self._say(f"{name}: done in {spoken(self._now_s() - pace.started_s)}")


class _Pace:
    """Counts the steps of a stage and says when a line is due, and how long the rest takes."""

    def __init__(self, now_s: float, total: int | None, done: int) -> None:
        self.started_s = self._told_s = self._first_s = now_s
        self.done, self._total, self._earlier = done, total, done
        self._every_s = FIRST_S

    def step(self, now_s: float) -> float | None:
        """Count one step; the seconds left where a line of progress is due, else None.

        The first step warms up, so the rate leaves it out unless it is the only one.
        """
        self.done += 1
        own = self.done - self._earlier
        if own == 1:
            self._first_s = now_s
        if self._total is None or self.done >= self._total or now_s - self._told_s < self._every_s:
            return None
        took_s = (now_s - self._first_s) / (own - 1) if own > 1 else now_s - self.started_s
        left_s = took_s * (self._total - self.done)
        self._told_s = now_s
        self._every_s = max(EVERY_S, (now_s - self.started_s + left_s) / LINES_AT_MOST)
        return left_s


class Bars(Stages):
    """A bar for each stage; the finished ones stay."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Step]:
        bar = self._progress.add_task(name, total=total, completed=done, words="")
        yield lambda words: self._progress.update(bar, advance=1, words=words)
        if total is None:
            self._progress.update(bar, total=1, completed=1)


@contextmanager
def stages_on(console: Console, now_s: Callable[[], float] = time.monotonic) -> Iterator[Stages]:
    """Bars where someone looks at them, else lines; silent in all but the first process of `torchrun`."""
    if os.environ.get("RANK", "0") != "0":
        yield SILENT
        return
    # Not `is_terminal` alone: build servers have it claimed for the sake of colours.
    if not (console.is_interactive and console.file.isatty()):
        yield Lines(
            lambda line: console.print(shown(line), markup=False, highlight=False, soft_wrap=True), now_s
        )
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[words]}", markup=False),
        console=console,
        get_time=now_s,
    ) as progress:
        yield Bars(progress)


def spoken(seconds: float) -> str:
    """In the unit that a person would say: 0.4 s, 40 s, 3 min, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
