"""Acts under way: each in a thread of its own, so that nobody's connection has to last as long as they do.

What takes longer than a moment is asked for again by its number, and only by whoever began it.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue

from agent.contract.commands import NotDoneError
from agent.page.sources import Json

AT_ONCE = 8
KEPT = 32  # that are done, for whoever asks what came of them
MAX_SAID = 300  # of one: what it says after that is left out

Say: TypeAlias = Callable[[str, Mapping[str, JsonValue]], None]
"""How far it has come: a sentence, and values."""


def unheard(message: str, data: Mapping[str, JsonValue]) -> None:
    """Of whoever waits for the end alone."""


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """`answer` or `error` once it is done."""

    id: str
    who: str
    said: list[Json] = field(default_factory=list)
    answer: Json | None = None
    error: Exception | None = None
    is_done: threading.Event = field(default_factory=threading.Event)

    def say(self, message: str, data: Mapping[str, JsonValue]) -> None:
        if len(self.said) < MAX_SAID:
            self.said.append({"message": message, **data})


class Jobs:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Job] = OrderedDict()

    def begin(self, who: str, do: Callable[[Say], Json]) -> Job:
        """Raises NotDoneError where too many are under way."""
        job = Job(id=secrets.token_urlsafe(16), who=who)
        with self._lock:
            done = [one.id for one in self._known.values() if one.is_done.is_set()]
            if len(self._known) - len(done) >= AT_ONCE:
                raise NotDoneError(
                    "occupied", f"{AT_ONCE} others are being done; ask again after one of them"
                )
            for id_ in done[: max(0, len(done) - KEPT + 1)]:
                del self._known[id_]
            self._known[job.id] = job
        threading.Thread(target=_run, args=(job, do), name="page-act", daemon=True).start()
        return job

    def of(self, id_: str, who: str) -> Job | None:
        """None where this person began none of that number, or it is no longer kept."""
        with self._lock:
            found = self._known.get(id_)
        return found if found is not None and found.who == who else None


def _run(job: Job, do: Callable[[Say], Json]) -> None:
    try:
        job.answer = do(job.say)
    except Exception as error:  # whoever asks is told
        job.error = error
    finally:
        job.is_done.set()
