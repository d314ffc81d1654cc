"""The engine that the line holds: whichever one serves now, exchanged between two frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.engines.engine import Answer, Description, Engine, EngineError
from agent.engines.failover import WORDS, Outcome, Streak, outcome_of_answer, outcome_of_error
from agent.messages import Pixels

NONE = Description(name="none", runtime="none", device="none", precision="none")


@dataclass(slots=True, kw_only=True)
class _Serving:
    engine: Engine
    streak: Streak = field(default_factory=Streak)
    runs: dict[object, float] = field(default_factory=dict)  # since when, of those that are not back yet
    retired: bool = False


class Switch:
    """An engine of engines. A frame is judged by one of them; an old one closes after its last frame.

    `down` is set when the engine that served was taken down by the rules of `failover`.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._serving: _Serving | None = None
        self._reason = "no engine has been opened yet"
        self.down = threading.Event()

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        """As every engine; raises EngineError while none serves."""
        this = object()
        with self._lock:
            serving = self._serving
            if serving is None:
                raise EngineError(f"no engine serves: {self._reason}")
            serving.runs[this] = self._monotonic_s()
        try:
            answer = serving.engine.run(tiles, restored=restored)
        except Exception as error:
            self._note(serving, outcome_of_error(error), str(error))
            raise
        finally:
            self._leave(serving, this)
        self._note(serving, outcome_of_answer(answer), "")
        return replace(answer, precision=serving.engine.describe().precision)

    def describe(self) -> Description:
        """Of the one that serves; NONE when none does."""
        with self._lock:
            serving = self._serving
        return NONE if serving is None else serving.engine.describe()

    def serve(self, engine: Engine) -> None:
        """From the next frame on this one."""
        with self._lock:
            old, self._serving = self._serving, _Serving(engine=engine)
            self.down.clear()
        self._retire(old)

    def reason(self) -> str:
        """Why none serves, or why the one before was taken down."""
        with self._lock:
            return self._reason

    def longest_s(self) -> float:
        """For how long the frame that is longest in the engine has been there; 0 when none is."""
        with self._lock:
            runs = self._serving.runs if self._serving is not None else {}
            return self._monotonic_s() - min(runs.values()) if runs else 0.0

    def close(self) -> None:
        with self._lock:
            old, self._serving = self._serving, None
            self._reason = "the agent stops"
        self._retire(old)

    def _note(self, serving: _Serving, outcome: Outcome, detail: str) -> None:
        with self._lock:
            serving.streak, over = serving.streak.after(outcome)
            if not over or self._serving is not serving:
                return
            self._serving = None
            name = serving.engine.describe().name
            self._reason = f"{name} {WORDS[outcome]}{f': {detail}' if detail else ''}"
            self.down.set()
        self._retire(serving)

    def _leave(self, serving: _Serving, this: object) -> None:
        with self._lock:
            del serving.runs[this]
            last = serving.retired and not serving.runs
        if last:
            serving.engine.close()

    def _retire(self, old: _Serving | None) -> None:
        if old is None:
            return
        with self._lock:
            old.retired = True
            unused = not old.runs
        if unused:
            old.engine.close()
