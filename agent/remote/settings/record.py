"""Each change of the settings in force as a record: who wanted it, and what they said before and say now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.remote.changes import ChangeFile, Way, differing
from agent.remote.settings.store import SettingsStore, Snapshot

LOOKED_BACK = 2_000  # records, for the settings that were in force when the process before ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody who is known wants: `name` is that of the settings which are about to come into force."""

    who: str
    way: Way
    what: str = "settings"  # or the act or command that asked
    name: str | None
    wanted: Mapping[str, Any]


class SettingsRecord:
    """For one thread."""

    def __init__(self, store: SettingsStore, changes: ChangeFile) -> None:
        self._store = store
        self._changes = changes
        self._asked: Asked | None = None
        self._last: str | None = None

    def asks(self, asked: Asked) -> None:
        """It is told once it is known what came of it, by `in_force` or `ended`."""
        self._asked = asked

    def ended(self, name: str | None, why: str) -> None:
        """Nothing is under way any more, and settings of this name are in force. Raises nothing."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        is_so = asked.name == name
        self._changes.note(
            who=asked.who,
            way=asked.way,
            what=asked.what,
            outcome="done" if is_so else "failed",
            wanted=dict(asked.wanted) if is_so else {**asked.wanted, "why": why},
        )

    def in_force(self, name: str | None, *, went_back: bool) -> None:
        """These settings run, by the name of their snapshot. Raises nothing."""
        if name is None or name == self._last:
            return
        last, self._last = self._last or self._told_last(), name
        if name == last:
            return
        now, was = self._store.read(name), self._store.read(last)
        if now is None:
            return
        asked = self._wish(name, now, went_back=went_back)
        if asked is self._asked:
            self._asked = None
        before, after = ({}, {}) if was is None else differing(was.data, now.data)
        self._changes.note(
            who=asked.who,
            way=asked.way,
            what=asked.what,
            wanted={} if was is not None else {"first": True},
            before=before,
            after=after,
            snapshot=name,
        )

    def _wish(self, name: str, now: Snapshot, *, went_back: bool) -> Asked:
        if went_back:
            return Asked(who="plumbline", way="station", name=name, wanted={})
        if self._asked is not None and self._asked.name == name:
            return self._asked
        if now.source == "remote" and now.origin is not None:
            return Asked(who=now.origin.issuer, way="document", name=name, wanted={})
        return Asked(who="whoever edits the settings file", way="file", name=name, wanted={})

    def _told_last(self) -> str | None:
        names = (one.snapshot for one in self._changes.last(LOOKED_BACK))
        return next((name for name in names if name is not None), None)
