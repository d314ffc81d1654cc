"""What people on the station want of its settings, in the file or by a command: each is a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from agent.clock import Clock, new_uuid7, rfc3339
from agent.contract.commands import NotDoneError
from agent.foreign import shown
from agent.remote.rollout.rollout_file import NotWritable
from agent.remote.rollout.transaction import Cancelled, Event, Problem, Record, Refused
from agent.remote.settings.file import SettingsFile, name_of
from agent.remote.settings.merge import places
from agent.remote.settings.offer import edit
from agent.remote.settings.proposal import Proposal, forbidden, wished
from agent.remote.settings.steps import Steps
from agent.remote.settings.store import SettingsStore, Snapshot
from agent.remote.settings.target import Ways
from agent.settings.settings import SettingsError

log = structlog.get_logger(__name__)


EDITED = "the settings file was edited on the station meanwhile; send it again"
REVERTED = "somebody at the station wanted those before back; ask there before it is sent again"


class Edits:
    """Belongs to one thread, but for `reload`."""

    def __init__(
        self,
        store: SettingsStore,
        ways: Ways,
        clock: Clock,
        *,
        steps: Steps,
        propose: Callable[[Proposal], None],
        end: Callable[[str], None],
    ) -> None:
        """`propose` is told what is to come into force, before any step; `end` ends what is under way."""
        self.file = SettingsFile(store, ways, clock)
        self._store = store
        self._ways = ways
        self._clock = clock
        self._steps = steps
        self._propose = propose
        self._end = end
        self._asked = threading.Event()  # to look at the settings file
        self.wished: str | None = None  # the name of what somebody asked for last

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def reload(self) -> None:
        """Somebody wants the settings file to be looked at; from any thread."""
        self._asked.set()

    def begin(self) -> None:
        """As a process does, once what was under way goes on; a file that is no good is told."""
        local, unread = self.file.read()
        if local is None:
            self.file.refuse(str(unread))
        elif self.file.edit(local) is not None:
            if self._is_busy:
                self._asked.set()  # once that has ended
            else:
                self._take_edit(local, by_request=False)

    def wish(self, patch: Mapping[str, Any], who: str) -> NotDoneError | None:
        """Somebody who may command the station wants these members: an edit; why not, where it is not one."""
        active = self._store.current()
        if self._is_busy or active is None:
            return NotDoneError("occupied", f"settings are {self._steps.record.state}; ask again after that")
        if flaws := forbidden(patch, active):
            return NotDoneError("bad_arguments", f"{flaws[0].path}: {flaws[0].message}")
        snapshot = wished(active, patch, now=rfc3339(self._clock.utc_now()))
        try:
            self._ways.settings(snapshot.data)
        except SettingsError as error:
            return NotDoneError("bad_arguments", shown(str(error)))
        try:
            self.wished = name_of(snapshot)
            self._begin_edit(self.wished, snapshot)
        except NotWritable as error:
            return NotDoneError("no_room", str(error))
        log.info("settings_wished", who=shown(who), members=[".".join(one) for one in places(dict(patch))])
        return None

    def take_request(self) -> bool:
        """Whether it is done with; what is under way is ended first, since a person stands at the station."""
        local, unread = self.file.read()
        if local is None:
            self._asked.clear()
            self.file.refuse(str(unread))
            return False
        if self._is_busy and self.file.edit(local) is not None:
            is_back = self._store.wanted_back() is not None
            self._end(REVERTED if is_back else EDITED)
            return False
        self._asked.clear()
        self.file.words = None
        if not self._is_busy:
            self._take_edit(local, by_request=True)
        return self.file.words is None

    def _take_edit(self, local: dict[str, Any], *, by_request: bool) -> None:
        found = self.file.good_edit(local, self._steps.record, by_request=by_request)
        if found is None:
            return
        try:
            self._begin_edit(*found)
        except NotWritable as error:
            self.file.refuse(str(error))

    def _begin_edit(self, name: str, snapshot: Snapshot) -> None:
        """Raises NotWritable; then nothing has changed."""
        self._propose(Proposal(snapshot=snapshot))
        self._steps.try_once(
            edit(
                name,
                self._steps.record,
                current=self._store.named("current"),
                clock=self._clock,
                transaction=new_uuid7(self._clock),
            )
        )

    @property
    def _is_busy(self) -> bool:
        return self._steps.record.state != "idle"


def given_up(record: Record, transaction: str) -> Event:
    """Of an edit whose process died: the file is read anew."""
    if record.state == "downloading":
        return Cancelled(transaction=transaction)
    return Refused(transaction=transaction, problem=Problem(code=500, message="it was cut off"))
