"""The thread of one output: it waits for what its schedule says, has the gate do it, and tells what came.

A gate that answers late holds up this thread alone; what is heard meanwhile waits and is taken in its order.
Whoever has something to say (`hear`) never waits. After a failure the gate is opened anew, and told again
how it is to stand: what it did with a request that it did not answer is not known.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from agent.backoff import backoff_s
from agent.clock import Clock
from agent.errors import PlumblineError
from agent.outputs import schedule
from agent.outputs.belt import Reading
from agent.outputs.gate import Gate
from agent.outputs.nouns import Decision, Ending, Trigger, Unplaced
from agent.outputs.schedule import Schedule

FIRST_PAUSE_S, PAUSE_S = 0.02, 1.0
LOOK_S = 0.25  # at whether to stop
SWITCH_S = 0.0005
NICE = -10

Heard: TypeAlias = Reading | Trigger | Decision

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it is with the gate since the last thing it was asked."""

    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The encoder was reset: places of so many parts on their way are estimated from here on."""

    parts: int


Told: TypeAlias = Ending | Unplaced | Standing | Lost


def _be_prompt() -> None:
    """This thread comes before others, as far as that is allowed; they let go of the interpreter sooner."""
    sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
    with suppress(OSError):  # LimitNICE= of the service
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Worker:
    """`hear`, `under_way` and `failures` from any thread; the rest is its own."""

    def __init__(
        self,
        name: str,
        start: Schedule,
        gate: Gate,
        *,
        clock: Clock,
        rng: random.Random,
        tell: Callable[[Told], None],
        fail_safe: bool,
        inverted: bool,
        heartbeat_s: float,
        sees: Callable[[], bool],
    ) -> None:
        """`fail_safe`: whether a stop leaves the gate open. `inverted`: a high output shuts it.

        `sees` says, quickly, whether the camera gives frames; while it does not the heartbeat stands still.
        """
        self.name = name
        self._schedule = start
        self._gate = gate
        self._clock = clock
        self._rng = rng
        self._tell = tell
        self._fail_safe = fail_safe
        self._inverted = inverted
        self._heartbeat_ns = round(heartbeat_s * 1e9)
        self._sees = sees
        self._heard: deque[Heard] = deque()
        self._woken = threading.Event()
        self._is_held = False  # the gate was opened, and has not failed since
        self._stands: bool | None = None  # how the gate stands, by its last answer
        self._trouble: str | None = None
        self._tries = 0  # that failed, in a row
        self._again_ns = 0
        self._beat = False
        self._beat_ns = 0
        self.failures = 0
        self.ended = threading.Event()  # it tells nothing any more

    @property
    def under_way(self) -> int:
        """Parts between camera and gate."""
        return len(self._schedule.parts)

    @property
    def passed(self) -> int:
        """Good parts that went by a shut gate."""
        return self._schedule.passed

    @property
    def resets(self) -> int:
        """Of the encoder."""
        return self._schedule.belt.resets

    def hear(self, heard: Heard) -> None:
        """Take it into account as soon as may be."""
        self._heard.append(heard)
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then the gate is left in its fail-safe state."""
        _be_prompt()
        try:
            while not stop.is_set():
                self._woken.clear()
                self.step()
                self._woken.wait(max(0.0, self._rest_s()))
        finally:
            self._leave()

    def step(self) -> None:
        """Whatever is to be done now."""
        self._take()
        if not self._is_held and self._clock.monotonic_ns() >= self._again_ns:
            self._open()
        self._move()
        if self._clock.monotonic_ns() >= self._beat_ns:
            self._look()
        self._say()

    def _take(self) -> None:
        known, resets = self._schedule, self.resets
        while self._heard:
            match self._heard.popleft():
                case Reading() as reading:
                    known = schedule.read(known, reading)
                case Trigger() as trigger:
                    known = schedule.seen(known, trigger)
                case Decision() as decision:
                    known = schedule.decided(known, decision)
        self._schedule = schedule.at(known, self._clock.monotonic_ns())
        if self.resets > resets:
            self._tell(Lost(parts=len(known.parts)))

    def _open(self) -> None:
        try:
            self._gate.open()
        except PlumblineError as error:
            self._failed(error)
        else:
            self._is_held, self._stands = True, None

    def _move(self) -> None:
        """Have the gate stand as the schedule says, where it does not yet."""
        wanted = schedule.level(self._schedule)
        if not self._is_held or wanted == self._stands:
            return
        try:
            self._gate.set(wanted != self._inverted)
        except PlumblineError as error:
            self._failed(error)
            return
        self._stands, self._tries = wanted, 0
        now_ns = self._clock.monotonic_ns()
        self._schedule = schedule.acted(self._schedule, now_ns) if wanted else schedule.shut(self._schedule)
        self._stand(None)

    def _look(self) -> None:
        """At the camera; the heartbeat says that somebody sees the parts, and tracks them."""
        self._beat_ns = self._clock.monotonic_ns() + self._heartbeat_ns
        if not self._sees():
            if self._fail_safe:
                self._schedule = schedule.blind(self._schedule)
            return
        if not self._is_held:
            return
        self._beat = not self._beat
        try:
            self._gate.beat(self._beat)
        except PlumblineError as error:
            self._failed(error)

    def _failed(self, error: PlumblineError) -> None:
        self.failures += 1
        self._gate.close()
        self._is_held, self._stands = False, None
        pause_s = backoff_s(self._tries, self._rng, first_s=FIRST_PAUSE_S, longest_s=PAUSE_S)
        self._tries += 1
        self._again_ns = self._clock.monotonic_ns() + round(pause_s * 1e9)
        self._schedule = schedule.refused(self._schedule, str(error))
        self._stand(str(error))

    def _stand(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(Standing(trouble=trouble))

    def _say(self) -> None:
        self._schedule, endings = schedule.told(self._schedule)
        for ending in endings:
            self._tell(ending)

    def _rest_s(self) -> float:
        """Until there is something to be done; what is heard ends it earlier."""
        if schedule.level(self._schedule) != self._stands and self._is_held:
            return 0.0
        moments = [self._beat_ns] if self._is_held else [self._beat_ns, self._again_ns]
        if (next_ns := schedule.next_ns(self._schedule)) is not None:
            moments.append(next_ns)
        return min(LOOK_S, (min(moments) - self._clock.monotonic_ns()) / 1e9)

    def _leave(self) -> None:
        self._take()
        self._schedule = schedule.ended(self._schedule)
        self._say()
        try:
            if not self._is_held:
                self._gate.open()
            self._gate.set(self._fail_safe != self._inverted)
        except PlumblineError as error:
            log.error("output_not_left_safe", output=self.name, reason=str(error))
        finally:
            self._gate.close()
            self.ended.set()
