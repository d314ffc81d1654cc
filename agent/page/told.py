"""What a page is told without asking: the events of its stream, by name."""

from __future__ import annotations

from agent.page.sources import Json, Sources
from agent.page.views import live, now


class Told:
    """Remembers what was told already; `news` is asked by one thread at a time."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._sequence: int | None = None
        self._live: Json = {}
        self._taught: Json = {}

    def news(self) -> list[tuple[str, Json]]:
        """`now` each time, so that who listens knows that we live; the others where something is new."""
        snapshot = self._sources.shown.snapshot()
        found = [("now", now.of(self._sources, snapshot))]
        told = live.of(self._sources, snapshot, after_sequence=self._sequence or 0)
        numbers = [one["sequence"] for one in told["results"]]
        steady = {key: told[key] for key in ("start", "shift", "cameras", "parts", "reject")}
        if numbers or steady != self._live:
            found.append(("live", told))
        self._live = steady
        taught = {} if self._sources.behind.teaching is None else self._sources.behind.teaching.told()
        if taught != self._taught:
            found.append(("teach", taught))
        self._taught = taught
        self._sequence = max(numbers, default=self._sequence or 0)
        return found
