"""The settings file on the station, as a source like any other: read only, and put onto what is in force."""

from __future__ import annotations

from typing import Any

import structlog

from agent.address import masked_text
from agent.clock import Clock, rfc3339
from agent.foreign import shown
from agent.remote.rollout.transaction import Record
from agent.remote.settings.proposal import edited, reverted
from agent.remote.settings.store import SettingsStore, Snapshot
from agent.remote.settings.target import Ways
from agent.sealed import digest
from agent.settings.settings import SettingsError

log = structlog.get_logger(__name__)


class SettingsFile:
    """`words` say that what it says is not in force, until it is."""

    def __init__(self, store: SettingsStore, ways: Ways, clock: Clock) -> None:
        self._store = store
        self._ways = ways
        self._clock = clock
        self.words: str | None = None

    def read(self) -> tuple[dict[str, Any] | None, SettingsError | None]:
        """What it says where it is good on its own, or why it is not."""
        try:
            return self._ways.file(), None
        except SettingsError as error:
            return None, error

    def edit(self, local: dict[str, Any]) -> tuple[str, Snapshot] | None:
        """What it makes of the settings that are kept, or that somebody wants back, and a name for it.

        None where there is nothing new.
        """
        active, now = self._store.current(), rfc3339(self._clock.utc_now())
        if active is None:
            return None
        wanted = self._store.wanted_back()
        back = None if wanted is None else reverted(active, wanted, now=now)
        made = edited(back or active, local, now=now) or back
        return None if made is None else (name_of(made), made)

    def good_edit(
        self, local: dict[str, Any], record: Record, *, by_request: bool
    ) -> tuple[str, Snapshot] | None:
        """The same; also None for one that is no good, or was tried before and nobody asks for it."""
        found = self.edit(local)
        self._store.drop_wanted()
        if found is None:
            return None
        failures = [one for one in record.failed if one.target_sha256 == found[0]]
        if failures and not by_request:
            self.refuse(f"they were tried before: {failures[-1].reason}")
            return None
        try:
            self._ways.settings(found[1].data)
        except SettingsError as error:
            self.refuse(str(error))
            return None
        return found

    def keep_first(self) -> str | None:
        """What has proved to run is what a station goes back to: the name of what it says, once it is kept.

        None where something is kept already. Raises NotWritable.
        """
        local, _ = self.read()
        if local is None or self._store.current() is not None:
            return None
        first = Snapshot(data=local, local=local, source="file", since=rfc3339(self._clock.utc_now()))
        self._store.place(name_of(first), first)
        self._store.point("current", name_of(first))
        return name_of(first)

    def refuse(self, reason: str) -> None:
        """Have people told."""
        words = masked_text(shown(reason.splitlines()[0]))
        at = rfc3339(self._clock.utc_now())
        self.words = f"Settings read at {at} were refused, those before stay in force: {words}"
        log.error("settings_refused", reason=masked_text(shown(reason)))


def name_of(snapshot: Snapshot) -> str:
    """Of an edit: the same one has the same name, whenever it is made."""
    return digest({"data": snapshot.data, "local": snapshot.local})
