"""The manager hears `alive` while everything moves or rests, and never once something stands."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.status.vigil import LOOKS, Stage, Vigil
from agent.systemd import Manager

LIMIT_S = 30.0


class Part:
    """Moves when told to."""

    def __init__(self, name: str) -> None:
        self.moves = 0
        self.resting = False
        self.stage = Stage(name=name, moved=lambda: self.moves, rests=lambda: self.resting)


class Looks(threading.Event):
    """A stop that never comes, but after so many looks; before each the parts do what the script says."""

    def __init__(self, clock: ManualClock, script: list[Callable[[], None]]) -> None:
        super().__init__()
        self._clock = clock
        self._script = iter(script)

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(timeout or 0.0)
        step = next(self._script, None)
        if step is None:
            return True
        step()
        return False


class Told(Manager):
    """A manager that remembers when it heard what."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(address="nowhere", watchdog_s=LIMIT_S)
        object.__setattr__(self, "heard", [])
        object.__setattr__(self, "clock", clock)

    def tell(self, *assignments: str) -> None:
        self.heard.append((self.clock.monotonic_ns() / 1e9, *assignments))  # type: ignore[attr-defined]


def heard_of(
    parts: list[Part], script: list[Callable[[], None]], *, limit_s: float = LIMIT_S
) -> dict[str, list[float]]:
    """The seconds at which the manager heard that all is alive, and that it is to act."""
    clock = ManualClock()
    manager = Told(clock)
    vigil = Vigil(stages=[part.stage for part in parts], limit_s=limit_s, manager=manager, clock=clock)
    vigil.run(Looks(clock, script))
    heard: dict[str, list[float]] = {"WATCHDOG=1": [], "WATCHDOG=trigger": []}
    for at_s, said in manager.heard:  # type: ignore[attr-defined]
        heard[said].append(at_s)
    return heard


LOOK_S = LIMIT_S / LOOKS


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=60))
def test_the_manager_hears_alive_exactly_while_every_part_has_moved_within_half_its_time_or_rests(
    looks: list[tuple[bool, bool, bool]],
) -> None:
    first, second = Part("first"), Part("second")
    script = []
    for moves, moves_too, rests in looks:

        def step(moves: bool = moves, moves_too: bool = moves_too, rests: bool = rests) -> None:
            first.moves += moves
            second.moves += moves_too
            second.resting = rests

        script.append(step)
    alive, act, first_s, second_s = [], [], 0.0, 0.0
    for number, (moves, moves_too, rests) in enumerate(looks, 1):
        now_s = number * LOOK_S
        first_s = now_s if moves else first_s
        second_s = now_s if moves_too or rests else second_s
        stood_s = [now_s - first_s, now_s - second_s]
        late = [one for one in stood_s if one >= LIMIT_S / 2]
        alive += [] if late else [now_s]
        act += [now_s] if late and late[0] >= LIMIT_S * 3 / 4 else []
    assert heard_of([first, second], script) == {"WATCHDOG=1": alive, "WATCHDOG=trigger": act}


@pytest.mark.parametrize("last_move", range(20))
def test_a_part_that_stands_is_acted_on_within_the_managers_time(last_move: int) -> None:
    part, other = Part("line top"), Part("watch")

    def step(number: int) -> None:
        other.moves += 1
        part.moves += number <= last_move

    script = [lambda number=number: step(number) for number in range(1, last_move + LOOKS + 1)]  # type: ignore[misc]
    heard = heard_of([part, other], script)
    stood_from_s = (max(last_move, 1) - 1) * LOOK_S  # it may have stopped right behind the look before
    assert heard["WATCHDOG=trigger"][0] - stood_from_s < LIMIT_S


def test_a_part_that_stands_is_named_before_the_manager_acts_and_the_first_cause_first() -> None:
    outbox, line = Part("outbox"), Part("line top")
    with structlog.testing.capture_logs() as said:
        heard = heard_of([outbox, line], [lambda: None] * (LOOKS - 2))
    assert (heard["WATCHDOG=1"], heard["WATCHDOG=trigger"]) == ([3.75, 7.5, 11.25], [22.5])
    assert [(one["event"], one["stage"], one["for_s"]) for one in said] == [
        ("stage_stands", "outbox", 15.0),
        ("stage_stands", "outbox", 18.8),
        ("stage_stands", "outbox", 22.5),
    ]
    assert said[0]["behind_it"] == ["line top"]


def test_a_part_that_stood_and_moves_again_is_forgiven() -> None:
    part = Part("line top")

    def move() -> None:
        part.moves += 1

    still: list[Callable[[], None]] = [lambda: None] * 5
    heard = heard_of([part], [*still, move, *still])
    assert heard["WATCHDOG=trigger"] == []
    assert heard["WATCHDOG=1"][3] == 6 * LOOK_S


@pytest.mark.parametrize(("limit_s", "look_s"), [(1e-6, 0.05), (1.0, 0.125), (1e11, 10.0)])
def test_a_watchdog_far_out_has_nobody_called_standing_who_moves_once_a_second(
    limit_s: float, look_s: float
) -> None:
    part, looks = Part("watch"), 200
    each = max(1, round(1.0 / look_s))

    def step(number: int) -> None:
        part.moves += number % each == 0

    script = [lambda number=number: step(number) for number in range(looks)]  # type: ignore[misc]
    heard = heard_of([part], script, limit_s=limit_s)
    assert heard["WATCHDOG=trigger"] == [] and len(heard["WATCHDOG=1"]) == looks
    assert heard["WATCHDOG=1"][0] == pytest.approx(look_s)
