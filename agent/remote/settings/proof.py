"""Settings are tried on this machine in a thread of its own, while others are in force."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from agent.clock import Clock
from agent.foreign import shown
from agent.remote.settings.apart import LOOK_S, HungError
from agent.remote.settings.desired import Flaw
from agent.remote.settings.target import Running
from agent.settings.settings import Settings

PROOF_S = 2 * LOOK_S  # what hangs in a process is ended there; a thread is left behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What speaks against settings; nothing where there are no flaws."""

    flaws: tuple[Flaw, ...] = ()
    code: int = 422


class SettingsProof:
    """One at a time; belongs to one thread, but for `told`."""

    def __init__(self, told: Callable[[], None], clock: Clock) -> None:
        """`told` is called when there is something for `take`."""
        self._told = told
        self._clock = clock
        self._found: queue.SimpleQueue[tuple[object, Proven]] = queue.SimpleQueue()
        self._awaited: object = None
        self._ends_ns = 0

    @property
    def is_going_on(self) -> bool:
        return self._awaited is not None

    def begin(self, running: Running, wanted: Settings, before: Settings) -> None:
        """What was begun before is heard no more."""
        self._awaited = proof = object()
        self._ends_ns = self._clock.monotonic_ns() + round(PROOF_S * 1e9)

        def prove() -> None:
            try:
                flaws = tuple(running.prove(wanted, before))
                found = Proven(flaws=flaws, code=404 if flaws and flaws[0].path == "bundle" else 422)
            except HungError as error:
                found = _hung(str(error))
            except Exception as error:  # a driver raises what it likes
                found = Proven(flaws=(Flaw(message=f"{type(error).__name__}: {shown(str(error))}"),))
            self._found.put((proof, found))
            self._told()

        threading.Thread(target=prove, name="settings-proof", daemon=True).start()

    def give_up(self) -> None:
        self._awaited = None

    def take(self) -> Proven | None:
        """What came of it; None where there is nothing to be taken yet."""
        with suppress(queue.Empty):
            while True:
                proof, found = self._found.get_nowait()
                if proof is self._awaited:
                    self._awaited = None
                    return found
        if self.is_going_on and self._clock.monotonic_ns() >= self._ends_ns:
            self._awaited = None
            return _hung(f"making a recipe of them took longer than {PROOF_S:.0f} s")
        return None


def _hung(words: str) -> Proven:
    remedy = "see what these settings name there, and send them again with a higher counter"
    return Proven(flaws=(Flaw(message=f"{words}; {remedy}"),), code=408)
