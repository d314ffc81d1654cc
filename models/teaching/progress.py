"""One bar for all of it, or a line of JSON now and then: each phase has its share of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from agent.foreign import shown
from models.stages import Stages, Step, spoken

EVERY_S = 15.0
SAID_EVERY_S = 1.0  # in JSON
FIRST_SHARE = 0.02  # that is done in this run, before its own pace is believed
Show = Callable[[float, str], None]  # the share that is done, and what is going on
LONG = ("training ", "judging held-back")  # stages that move the bar by their steps


class Whole(Stages):
    """Over phases that follow each other."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._before, self._share, self._done = 0.0, 0.0, 0.0

    @contextmanager
    def phase(self, share: float) -> Iterator[None]:
        """What is done in it takes this share of the whole time."""
        self._share, self._done = share, 0.0
        yield
        self._before += share
        self._show(self._before, "")

    def skip(self, share: float) -> None:
        """What is done in it was done before."""
        with self.phase(share):
            pass

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Step]:
        made, moves = done, total is not None and name.startswith(LONG)

        def step(words: str) -> None:
            nonlocal made
            made += 1
            if moves and total:
                self._done = max(self._done, 0.9 * made / total)
            self._show(self._before + self._share * self._done, name)

        self._show(self._before + self._share * self._done, name)
        yield step


@contextmanager
def shown_on(console: Console, now_s: Callable[[], float]) -> Iterator[Whole]:
    """A bar where somebody looks at it, else a line now and then."""
    if not (console.is_interactive and console.file.isatty()):
        yield Whole(_lines(console, now_s))
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        get_time=now_s,
    ) as bars:
        bar = bars.add_task("teaching", total=1.0)
        yield Whole(
            lambda share, words: bars.update(bar, completed=share, description=shown(words or "teaching"))
        )


def _lines(console: Console, now_s: Callable[[], float]) -> Show:
    began = told = now_s()

    def show(share: float, words: str) -> None:
        nonlocal told
        now = now_s()
        if now - told < EVERY_S or not words:
            return
        told = now
        left = f", about {spoken((now - began) * (1 - share) / share)} left" if share > 0.05 else ""
        console.print(shown(f"{share:.0%}: {words}{left}"), markup=False, highlight=False, soft_wrap=True)

    return show


def said_by(say: Callable[[dict[str, object]], None], now_s: Callable[[], float], planned_s: float) -> Whole:
    """For a program: `{"kind": "far", "share", "words", "left_s"}`, once a second at most.

    What remains is `planned_s` by its share, until this run has a pace of its own; what an earlier run has
    done is none of it.
    """
    told: float | None = None
    first: tuple[float, float] | None = None  # when the first step was made, and how far that was

    def show(share: float, words: str) -> None:
        nonlocal told, first
        now = now_s()
        if first is None and words.startswith(LONG):
            first = now, share
        if told is not None and now - told < SAID_EVERY_S:
            return
        told, left_s = now, planned_s * (1 - share)
        if first is not None and share - first[1] > FIRST_SHARE:
            left_s = (now - first[0]) * (1 - share) / (share - first[1])
        say({"kind": "far", "share": round(share, 4), "words": words, "left_s": round(left_s, 1)})

    return Whole(show)
