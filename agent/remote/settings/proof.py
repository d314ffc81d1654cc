"""Settings are tried on this machine in a thread of its own, while others are in force."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from agent.foreign import shown
from agent.remote.settings.desired import Flaw
from agent.remote.settings.target import Running
from agent.settings.settings import Settings


class SettingsProof:
    """One at a time; belongs to one thread, but for `told`."""

    def __init__(self, told: Callable[[], None]) -> None:
        """`told` is called when there is something for `take`."""
        self._told = told
        self._found: queue.SimpleQueue[tuple[object, Sequence[Flaw]]] = queue.SimpleQueue()
        self._awaited: object = None

    @property
    def is_going_on(self) -> bool:
        return self._awaited is not None

    def begin(self, running: Running, wanted: Settings, before: Settings) -> None:
        """What was begun before is heard no more."""
        self._awaited = proof = object()

        def prove() -> None:
            try:
                flaws = running.prove(wanted, before)
            except Exception as error:  # a driver raises what it likes
                flaws = [Flaw(message=f"{type(error).__name__}: {shown(str(error))}")]
            self._found.put((proof, flaws))
            self._told()

        threading.Thread(target=prove, name="settings-proof", daemon=True).start()

    def give_up(self) -> None:
        self._awaited = None

    def take(self) -> Sequence[Flaw] | None:
        """What speaks against them; None where there is nothing to be taken yet."""
        with suppress(queue.Empty):
            while True:
                proof, flaws = self._found.get_nowait()
                if proof is self._awaited:
                    self._awaited = None
                    return flaws
        return None
