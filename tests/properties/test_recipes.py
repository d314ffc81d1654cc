"""Whatever comes between frames, each is judged whole by one recipe, and its record names that one.

A plain twin says which: it knows nothing of rings, engines, maps or windows that wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from agent.engines.engine import Answer, DeviceLost
from agent.engines.switch import Switch
from agent.line.capture import Capture
from agent.line.line import HOLD_S, Line
from agent.line.recipe import Recipe
from agent.messages import Item, Pixels
from agent.settings.settings import Crops
from tests.agent.line.recipes import recipe, rules
from tests.agent.line.records import Desk, desk, verdicts
from tests.fakes import FakeEngine, fault, frame, good_picture

LINES = 64
LOST = 8  # lines of a torn window
BUNDLES = 3
PRECISIONS = ("f32", "bf16")
Kind: TypeAlias = Literal["dark", "middle", "top", "bottom", "both", "bar"]
SPOTS: dict[Kind, tuple[tuple[int, int, int, int], ...]] = {
    "dark": (),
    "middle": ((8, 12, 8, 4),),
    "top": ((8, 0, 8, 4),),
    "bottom": ((8, 60, 8, 4),),
    "both": ((8, 0, 8, 4), (8, 60, 8, 4)),
    "bar": ((8, 0, 8, LINES),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What tells one recipe from another; the third and the fourth share a bundle and its engines."""

    tile_px: int
    overlap_px: int
    threshold: float
    bf16: float
    max_invalid_ratio: float
    max_windows: int
    crops: int
    bundle: int

    def threshold_in(self, precision: str) -> float:
        return self.bf16 if precision == "bf16" else self.threshold


GIVEN = (
    Given(
        tile_px=64,
        overlap_px=4,
        threshold=0.3,
        bf16=0.5,
        max_invalid_ratio=0.0,
        max_windows=3,
        crops=4,
        bundle=0,
    ),
    Given(
        tile_px=32,
        overlap_px=0,
        threshold=0.7,
        bf16=0.3,
        max_invalid_ratio=0.5,
        max_windows=1,
        crops=1,
        bundle=1,
    ),
    Given(
        tile_px=128,
        overlap_px=8,
        threshold=0.5,
        bf16=0.9,
        max_invalid_ratio=0.0,
        max_windows=8,
        crops=0,
        bundle=2,
    ),
    Given(
        tile_px=128,
        overlap_px=8,
        threshold=0.7,
        bf16=0.5,
        max_invalid_ratio=0.5,
        max_windows=2,
        crops=2,
        bundle=2,
    ),
)


def engine_name(bundle: int, precision: str) -> str:
    return f"bundle{bundle}-{precision}"


# What happens, one after the other.


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame; `meanwhile` happens while the engine judges it."""

    kind: Kind
    grey: int
    goes_on: bool = False
    torn: bool = False
    meanwhile: Swap | Serve | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A trigger that is not judged."""

    kind: Literal["fault", "shape", "engine", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Another recipe is to take over."""

    to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """A bundle's engine is exchanged for one of another precision."""

    bundle: int
    precision: str


Event: TypeAlias = Picture | Trouble | Pause | Swap | Serve

swaps = st.builds(Swap, to=st.integers(0, len(GIVEN) - 1))
serves = st.builds(Serve, bundle=st.integers(0, BUNDLES - 1), precision=st.sampled_from(PRECISIONS))
pictures = st.builds(
    Picture,
    kind=st.sampled_from([*SPOTS, "bar", "bar"]),
    grey=st.sampled_from([90, 140, 200, 250, 250, 250]),
    goes_on=st.sampled_from([False, False, False, True]),
    torn=st.sampled_from([False, False, False, True]),
    meanwhile=st.one_of(st.none(), st.none(), swaps, serves),
)
troubles = st.builds(Trouble, kind=st.sampled_from(["fault", "shape", "engine", "lost"]))
pauses = st.builds(Pause, seconds=st.sampled_from([1.0, HOLD_S + 1]))
histories = st.lists(
    st.one_of(pictures, pictures, pictures, pictures, swaps, swaps, troubles, serves, pauses), max_size=40
)


# The twin.


@dataclass(slots=True)
class Expected:
    """One record, and of a window what it shows."""

    verdict: str
    reason: str | None
    recipe: int
    engine: str
    threshold: float | None = None
    piece: int = 0  # of the web, which a swap, a fault and a long pause cut
    hot: Kind = "dark"  # where the window has defects
    defects: int = 0
    continued_from: int | None = None


@dataclass(slots=True)
class Twin:
    """What must be on record, by the words of the documents."""

    now: float = 0.0
    in_force: int = 0
    wanted: int = 0
    serving: list[str | None] = field(default_factory=lambda: ["f32"] * BUNDLES)  # by bundle
    failures: list[int] = field(default_factory=lambda: [0] * BUNDLES)  # running
    part_since: float | None = None  # of a part that goes on
    taken: float = 0.0
    piece: int = 0
    records: list[Expected] = field(default_factory=list)

    def happen(self, event: Event) -> None:
        match event:
            case Swap():
                self.wanted = event.to
            case Serve():
                self.serving[event.bundle], self.failures[event.bundle] = event.precision, 0
            case Pause():
                self.now += event.seconds
                self._begin_step()
                if self.now - self.taken > HOLD_S:
                    self.piece += 1
            case Trouble(kind="fault"):
                self._begin_step()
                self._cut("skipped", "camera_error")
            case Trouble():
                self._begin_step()
                self._take(goes_on=False)
                self._fail(event.kind)
            case Picture():
                self._begin_step()
                self._take(goes_on=event.goes_on)
                self._judge(event)

    def stop(self, waiting: int) -> None:
        self.piece += 1
        for _ in range(waiting):
            self._cut("skipped", "stopped")

    def finished(self) -> list[Expected]:
        """With the defects that go over the borders of windows named once."""
        for piece in {one.piece for one in self.records}:
            self._name([number for number, one in enumerate(self.records) if one.piece == piece])
        return self.records

    def _begin_step(self) -> None:
        goes_on = self.part_since is not None and self.now - self.part_since <= HOLD_S
        if self.wanted != self.in_force and not goes_on:
            self.in_force = self.wanted
            self.piece += 1

    def _take(self, *, goes_on: bool) -> None:
        self.taken = self.now
        since = self.now if self.part_since is None else self.part_since
        self.part_since = since if goes_on else None

    def _bundle(self) -> int:
        return GIVEN[self.in_force].bundle

    def _engine(self) -> str:
        precision = self.serving[self._bundle()]
        return "none" if precision is None else engine_name(self._bundle(), precision)

    def _cut(self, verdict: str, reason: str) -> None:
        """A record of a trigger that is no window of the web."""
        self.piece += 1
        self.records.append(Expected(verdict, reason, self.in_force, self._engine(), piece=self.piece))
        self.piece += 1

    def _fail(self, kind: str) -> None:
        bundle = self._bundle()
        if kind != "shape" and self.serving[bundle] is not None:
            self.failures[bundle] += 1
            if kind == "lost" or self.failures[bundle] == 3:
                self.serving[bundle] = None
        self._cut("undecided", "camera_error" if kind == "shape" else "engine_error")

    def _judge(self, event: Picture) -> None:
        by, engine, precision = GIVEN[self.in_force], self._engine(), self.serving[self._bundle()]
        if precision is None:
            self._cut("undecided", "engine_error")
            return
        self.failures[by.bundle] = 0
        threshold = by.threshold_in(precision)
        is_hot = event.kind != "dark" and event.grey / 255 >= threshold
        verdict, reason = ("fail" if is_hot else "pass"), None
        if event.torn and by.max_invalid_ratio < LOST / LINES:
            verdict, reason = "undecided", "lost_lines"
        self.records.append(
            Expected(
                verdict,
                reason,
                self.in_force,
                engine,
                threshold=threshold,
                piece=self.piece,
                hot=event.kind if is_hot else "dark",
            )
        )
        if event.meanwhile is not None:
            self.happen(event.meanwhile)

    def _name(self, windows: list[int]) -> None:
        """One piece of web, judged by one recipe: chains of spots that touch are one defect each."""
        limit = GIVEN[self.records[windows[0]].recipe].max_windows
        chains: list[list[int]] = []
        is_open = False
        for number in windows:
            one = self.records[number]
            joins = is_open and one.hot in ("top", "both", "bar")
            if joins:
                chains[-1].append(number)
            if one.hot != "dark" and (one.hot == "both" or not joins):
                chains.append([number])
            touches = one.hot in ("bottom", "both", "bar")
            is_open = touches and number - chains[-1][0] + 1 < limit
            if one.hot == "both" and not joins:
                chains.insert(-1, [number])  # the upper spot, which nothing can join any more
        for chain in chains:
            failed = [number for number in chain if self.records[number].verdict == "fail"]
            for place, number in enumerate(failed):
                if place == 0:
                    self.records[number].defects += 1
                else:
                    self.records[number].continued_from = failed[0]


# The line, and how the history befalls it.


@dataclass(slots=True)
class Cue:
    """What the next run of any engine does besides."""

    failure: Exception | None = None
    meanwhile: Callable[[], None] | None = None


class Watched(FakeEngine):
    """Fails, or lets something happen while it judges, on cue."""

    def __init__(self, cue: Cue, bundle: int, precision: str) -> None:
        super().__init__(
            tile_px=next(one.tile_px for one in GIVEN if one.bundle == bundle),
            name=engine_name(bundle, precision),
            precision=precision,
        )
        self._cue = cue

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        if self._cue.failure is not None:
            raise self._cue.failure
        answer = FakeEngine.run(self, tiles, restored=restored)
        if self._cue.meanwhile is not None:
            self._cue.meanwhile()
        return answer


class Impatient(Capture):
    """A pause need not be waited for."""

    def take(self, timeout_s: float) -> Item | None:
        return super().take(0.0)


class Station:
    """A line, four recipes, and the three switches that serve their bundles."""

    def __init__(self, at: Desk) -> None:
        self._desk = at
        self._cue = Cue()
        self._capture = Impatient("accountable", ring_frames=64)
        self._switches = [Switch() for _ in range(BUNDLES)]
        for bundle in range(BUNDLES):
            self.happen(Serve(bundle=bundle, precision="f32"))
        self._recipes = [made(number, self._switches[one.bundle]) for number, one in enumerate(GIVEN)]
        self._line = Line(
            camera="top",
            capture=self._capture,
            recipe=self._recipes[0],
            publisher=at.publisher,
            clock=at.clock,
        )
        self._triggers = 0

    def happen(self, event: Event) -> None:
        match event:
            case Swap():
                self._line.take_over(self._recipes[event.to])
            case Serve():
                engine = Watched(self._cue, event.bundle, event.precision)
                self._switches[event.bundle].serve(engine)
            case Pause():
                self._desk.clock.advance(event.seconds)
                self._line.step()
            case Trouble() | Picture():
                self._capture.put(self._trigger(event))
                self._set_cue(event)
                self._line.step()
                self._cue.failure = self._cue.meanwhile = None

    def end(self, waiting: int | None) -> None:
        """The camera's last frame was seen, or the agent is told to stop while some wait."""
        stop = threading.Event()
        if waiting is not None:
            stop.set()
            for _ in range(waiting):
                self._capture.put(self._trigger(Picture(kind="middle", grey=250)))
        self._capture.close()
        self._line.run(stop)

    def _set_cue(self, event: Trouble | Picture) -> None:
        match event:
            case Trouble(kind="engine"):
                self._cue.failure = RuntimeError("scripted")
            case Trouble(kind="lost"):
                self._cue.failure = DeviceLost("scripted")
            case Picture(meanwhile=Swap() | Serve() as happening):
                self._cue.meanwhile = partial(self.happen, happening)

    def _trigger(self, event: Trouble | Picture) -> Item:
        number, self._triggers = self._triggers, self._triggers + 1
        image, first_line = good_picture(LINES, LINES), number * LINES
        match event:
            case Trouble(kind="fault"):
                return replace(fault(number), first_line=first_line)
            case Trouble(kind="shape"):
                image = np.zeros((8, 8, 2), np.uint8)
            case Picture():
                for x, y, width, height in SPOTS[event.kind]:
                    image[y : y + height, x : x + width] = event.grey
        one = replace(frame(number, image), first_line=first_line)
        if isinstance(event, Trouble):
            return one
        valid = np.arange(LINES) >= LOST if event.torn else None
        return replace(one, goes_on=event.goes_on, valid=valid, lines_lost=LOST if event.torn else 0)


def made(number: int, switch: Switch) -> Recipe:
    one = GIVEN[number]
    return recipe(
        switch,
        sha256=f"{one.bundle:064x}",
        revision=number,
        tile_px=one.tile_px,
        overlap_px=one.overlap_px,
        judged_by=rules(
            threshold=one.threshold,
            calibrated={"bf16": one.bf16},
            max_invalid_ratio=one.max_invalid_ratio,
            max_windows=one.max_windows,
        ),
        crops=Crops(max_per_verdict=one.crops),
    )


def told(record: dict[str, Any], before: int) -> dict[str, Any]:
    """What the twin knows of a record; `before` is the sequence number of the last one before its own."""
    score, defects = record["score"], record["defects"]
    return {
        "trigger": record["frame"]["id"],
        "sequence": record["sequence"] - before,
        "verdict": record["verdict"],
        "reason": record["reason"],
        "bundle": record["model"]["sha256"],
        "settings": record["settings"]["version"],
        "engine": record["model"]["engine"],
        "threshold": None if score is None else round(score["threshold"], 6),
        "defects": len(defects),
        "crops": sum(defect["crop"] is not None for defect in defects),
        "continued_from_line": record["continued_from_line"],
    }


def expected(records: list[Expected]) -> list[dict[str, Any]]:
    return [
        {
            "trigger": number,
            "sequence": number + 1,
            "verdict": one.verdict,
            "reason": one.reason,
            "bundle": f"{GIVEN[one.recipe].bundle:064x}",
            "settings": one.recipe,
            "engine": one.engine,
            "threshold": one.threshold,
            "defects": one.defects,
            "crops": min(one.defects, GIVEN[one.recipe].crops),
            "continued_from_line": None if one.continued_from is None else one.continued_from * LINES,
        }
        for number, one in enumerate(records)
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes") / "outbox.sqlite3"


@pytest.fixture(scope="module")
def at(path: Path) -> Iterator[Desk]:
    """One for all histories, since a file for each takes longer than the history."""
    with desk(path) as made:
        yield made


@checked(max_examples=400)
@given(histories, st.one_of(st.none(), st.integers(0, 3)))
def test_every_record_names_the_one_recipe_that_judged_it_and_none_is_lost_or_doubled(
    at: Desk, path: Path, history: list[Event], waiting: int | None
) -> None:
    before = at.outbox.last_sequence()
    station, twin = Station(at), Twin()
    for event in history:
        station.happen(event)
        twin.happen(event)
    station.end(waiting)
    twin.stop(waiting or 0)
    at.settle()
    found = [told(one, before) for one in verdicts(path, after=before)]
    assert found == expected(twin.finished())
