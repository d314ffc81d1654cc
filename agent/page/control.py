"""Who may change the station from the page while an MES commands it: one person, for a time, as a record.

An MES commands as long as its last message that changed the station is not older than the settings say. Its
commands are done whoever has the control: what stops a line must not wait for a person to come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from agent.clock import Clock
from agent.contract.commands import NotDoneError
from agent.foreign import shown
from agent.page.sources import Json
from agent.remote.changes import ChangeFile

LONGEST_MIN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    who: str
    until_ns: int


class Control:
    """Of one station; in memory, so that a restart gives it back. Safe from any thread."""

    def __init__(
        self,
        *,
        commanded_ns: Callable[[], int | None],
        gives_way_s: float,
        record: ChangeFile | None,
        clock: Clock,
    ) -> None:
        """`commanded_ns`: when an MES last commanded, by the monotonic clock; 0 s: the page gives no way."""
        self._commanded_ns = commanded_ns
        self._gives_way_s = gives_way_s
        self._record = record
        self._clock = clock
        self._lock = threading.Lock()
        self._held: _Held | None = None

    def told(self) -> Json:
        """`mes`: whether it commands; `held_by` whom, and for how long still."""
        with self._lock:
            held, now_ns = self._now(), self._clock.monotonic_ns()
            return {
                "mes": self._mes_commands(now_ns),
                "held_by": None if held is None else held.who,
                "left_s": None if held is None else max(1, round((held.until_ns - now_ns) / 1e9)),
            }

    def require(self, who: str) -> None:
        """Raises NotDoneError where this person may change nothing now."""
        with self._lock:
            held = self._now()
            if held is not None and held.who != who:
                raise NotDoneError("impossible", f"{shown(held.who)} has the control; ask for it there")
            if held is None and self._mes_commands(self._clock.monotonic_ns()):
                raise NotDoneError(
                    "impossible", "the MES commands this station; take the control before you change anything"
                )

    def take(self, who: str, minutes: int) -> None:
        """Also for longer, by whoever has it. Raises NotDoneError where somebody else has."""
        with self._lock:
            held = self._now()
            if held is not None and held.who != who:
                raise NotDoneError("impossible", f"{shown(held.who)} has the control; ask for it there")
            self._held = _Held(who=who, until_ns=self._clock.monotonic_ns() + minutes * 60 * 10**9)
            self._note(who, "take_control", minutes=minutes)

    def give_back(self, who: str) -> None:
        """Of whoever has it. Raises NotDoneError for others."""
        with self._lock:
            held = self._now()
            if held is None or held.who != who:
                raise NotDoneError("impossible", f"{shown(who)} does not have the control")
            self._held = None
            self._note(who, "give_back")

    def _mes_commands(self, now_ns: int) -> bool:
        last_ns = self._commanded_ns()
        return last_ns is not None and now_ns - last_ns < self._gives_way_s * 1e9

    def _now(self) -> _Held | None:
        """Under the lock; what has run out is recorded when somebody looks."""
        if self._held is not None and self._clock.monotonic_ns() >= self._held.until_ns:
            self._note(self._held.who, "control_ran_out")
            self._held = None
        return self._held

    def _note(self, who: str, what: str, **wanted: int) -> None:
        if self._record is not None:
            self._record.note(who=who, way="page", what=what, wanted=wanted)
