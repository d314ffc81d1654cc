"""Each change of the settings in force as a record: who wanted it, and what they said before and say now."""

from __future__ import annotations

from agent.remote.changes import ChangeFile, Way, differing
from agent.remote.settings.store import SettingsStore, Snapshot

LOOKED_BACK = 2_000  # records, for the settings that were in force when the process before ended


class SettingsRecord:
    """For one thread."""

    def __init__(self, store: SettingsStore, changes: ChangeFile) -> None:
        self._store = store
        self._changes = changes
        self._asks: tuple[str, Way, str | None] | None = None
        self._last: str | None = None

    def asks(self, who: str, way: Way, name: str | None) -> None:
        """Somebody who is known wants the settings of this name, which are about to come into force."""
        self._asks = who, way, name

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
        who: str
        way: Way
        who, way = ("plumbline", "station") if went_back else self._asked(name, now)
        before, after = ({}, {}) if was is None else differing(was.data, now.data)
        self._changes.note(
            who=who,
            way=way,
            what="settings",
            wanted={} if was is not None else {"first": True},
            before=before,
            after=after,
            snapshot=name,
        )

    def _asked(self, name: str, now: Snapshot) -> tuple[str, Way]:
        if now.source == "remote" and now.origin is not None:
            return now.origin.issuer, "document"
        if self._asks is not None and self._asks[2] == name:
            return self._asks[0], self._asks[1]
        return "whoever edits the settings file", "file"

    def _told_last(self) -> str | None:
        names = (one.snapshot for one in self._changes.last(LOOKED_BACK) if one.what == "settings")
        return next((name for name in names if name is not None), None)
