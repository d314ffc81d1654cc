"""Settings of a station over all its runs: what should be in force, and what is said.

`SettingsRollout` decides what should be in force; this has the run of the moment around it, and reports every
change of what is active or attempted: to the broker, and to a file for whoever carries it away on a stick.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from agent.clock import Clock
from agent.contract.commands import NotDoneError
from agent.foreign import shown
from agent.remote.changes import NAME as CHANGES
from agent.remote.changes import ChangeFile, differing
from agent.remote.rollout.rollout_file import NotWritable
from agent.remote.settings.record import Asked, SettingsRecord
from agent.remote.settings.rollout import SettingsRollout
from agent.remote.settings.run import SettingsRun
from agent.remote.settings.store import FOLDER, SettingsStore, Snapshot
from agent.remote.settings.target import Target, Ways
from agent.trust.trust_set import TrustSet

INBOX = "inbox"  # a folder for signed documents
REPORTED = "reported.json"
ANSWER_S = 5.0  # to a wish


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    patch: Mapping[str, JsonValue]
    who: str
    onto: str | None
    way: Literal["page", "command"]
    what: str
    answer: queue.SimpleQueue[NotDoneError | None] = field(default_factory=queue.SimpleQueue)


class SettingsDesk:
    """Belongs to the thread that runs the service, but for `offer`, `propose`, `reload`, `again`, `words`."""

    def __init__(self, folder: Path, ways: Ways, clock: Clock) -> None:
        """`folder` is the station's own, where it keeps its state."""
        self.inbox = folder / INBOX
        self._ways = ways
        self._reported = folder / REPORTED
        self.changes = ChangeFile(folder / CHANGES, clock)
        self._store = SettingsStore(folder=folder / FOLDER)
        self._history = SettingsRecord(self._store, self.changes)
        self._rollout = SettingsRollout(self._store, ways, clock, told=self.again)
        self._wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()
        self._news = threading.Event()
        self._run: SettingsRun | None = None
        self._reverts: tuple[str, str] | None = None  # who wants settings back, and which
        self._why = ""  # settings that were asked for did not run
        self._wake: Callable[[], None] = lambda: None

    def wakes(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when there is something to be looked at in a turn; from any thread."""
        self._wake = wake

    @property
    def target(self) -> Target:
        """What should run now; `start` comes first."""
        return self._rollout.target

    def state(self) -> str | None:
        """Of settings that are under way; None where none are. From any thread."""
        return self._rollout.state

    def start(self) -> Target:
        """What is to run first. Raises SettingsError where there is nothing."""
        return self._rollout.start()

    def attach(self, run: SettingsRun) -> None:
        """A run has begun by the target."""
        self._run, went_back = run, self._rollout.is_going_back
        self._rollout.attach(run)
        self._history.in_force(self._rollout.target.snapshot, went_back=went_back)
        self._news.set()

    def detach(self) -> None:
        """That run is over."""
        self._run = None
        self._rollout.detach()

    def in_force(self, target: Target) -> None:
        """These settings run."""
        went_back = self._rollout.is_going_back
        self._rollout.in_force(target)
        self._history.in_force(self._rollout.target.snapshot, went_back=went_back)
        self._news.set()

    def failed(self, reason: str) -> Target | None:
        """The target cannot run; what is to run in its place, None where there is nothing else."""
        self._why = shown(reason)
        return self._rollout.failed(reason)

    def words(self) -> tuple[str, ...]:
        """What people should know, one sentence each."""
        return self._rollout.words()

    def reload(self) -> None:
        """Somebody wants the settings file to be looked at; also from a signal's handler."""
        self._rollout.reload()

    def offer(self, envelope: bytes) -> None:
        """A document came."""
        self._rollout.offer(envelope)
        self._wake()

    def propose(
        self,
        patch: Mapping[str, JsonValue],
        who: str,
        onto: str | None = None,
        *,
        way: Literal["page", "command"],
        what: str,
    ) -> None:
        """A merge patch onto the settings in force, as an edit; durable on return. Raises NotDoneError.

        With `onto` only where that is their digest. The record of changes tells it by `way` and `what`.
        """
        wish = _Wish(patch=patch, who=who, onto=onto, way=way, what=what)
        self._wishes.put(wish)
        self._wake()
        try:
            refusal = wish.answer.get(timeout=ANSWER_S)
        except queue.Empty:
            raise NotDoneError("occupied", "the station is being changed; ask again after that") from None
        if refusal is not None:
            raise refusal

    def revert(self, sha256: str, who: str) -> None:
        """Have settings that were in force before put in force again, as `plumbline settings revert` does.

        Raises NotDoneError.
        """
        if self._store.read(sha256) is None:
            raise NotDoneError("not_found", f"{shown(sha256[:12])}: no such settings are kept any more")
        if sha256 == self._store.named("current"):
            raise NotDoneError("impossible", "these are in force")
        try:
            self._store.want_back(sha256)
        except NotWritable as error:
            raise NotDoneError("no_room", str(error)) from None
        self._reverts = who, sha256
        self._rollout.reload()
        self._wake()

    def snapshots(self) -> list[tuple[str, Snapshot]]:
        """What is kept, by the name that `revert` takes, oldest first."""
        found = [(name, self._store.read(name)) for name in self._store.snapshots()]
        return [(name, one) for name, one in found if one is not None]

    def current(self) -> str | None:
        """The name of those in force."""
        return self._store.named("current")

    def attempted(self) -> dict[str, Any] | None:
        """What was answered to the last document."""
        return self._store.attempted()

    def again(self) -> None:
        """There is something new to be said."""
        self._news.set()
        self._wake()

    def turn(self) -> bool:
        """Take what came; whether the settings file was looked at because somebody asked."""
        self.changes.look()
        if not self._rollout.is_busy:
            self._history.ended(self._rollout.target.snapshot, self._why or "another change came first")
        before = self._rollout.target.snapshot
        is_asked = self._rollout.turn()
        if self._reverts is not None and self._store.wanted_back() is None:
            who, sha256 = self._reverts
            now, told = self._rollout.target.snapshot, {"snapshot": sha256}
            name = now if now != before else None  # nobody goes back to what is in force
            self._history.asks(Asked(who=who, way="page", what="revert", name=name, wanted=told))
            self._reverts = None
        with suppress(queue.Empty):
            while True:
                wish = self._wishes.get_nowait()
                refusal = self._rollout.wish(wish.patch, wish.who, wish.onto)
                if refusal is None:
                    self._why, wanted = "", differing({}, wish.patch)[1]
                    name = self._rollout.wished
                    self._history.asks(
                        Asked(who=wish.who, way=wish.way, what=wish.what, name=name, wanted=wanted)
                    )
                wish.answer.put(refusal)
        if self._news.is_set() and self._run is not None:
            self._news.clear()
            self._say(self._run)
        return is_asked

    def stop(self) -> None:
        """The process ends in order."""
        self._rollout.stop()
        self.changes.settle()

    def _say(self, run: SettingsRun) -> None:
        """Whether anybody takes it moves nothing."""
        rollout = self._rollout
        trust = self._ways.trust(rollout.target.settings)
        report = run.reporter.composed(
            rollout.target.settings,
            rollout.snapshot,
            rollout.answers.last,
            waiting=rollout.answers.waiting,
            last_failed=rollout.answers.last_failed,
            trust=trust if isinstance(trust, TrustSet) else None,
            expiry_checked=rollout.expiry_checked,
        )
        run.publish(report)
        unfinished = self._reported.with_name(f".{self._reported.name}.part")
        with suppress(OSError):
            unfinished.write_bytes(report + b"\n")
            unfinished.replace(self._reported)
