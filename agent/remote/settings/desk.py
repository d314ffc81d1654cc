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

from pydantic import JsonValue

from agent.clock import Clock
from agent.contract.commands import NotDoneError
from agent.remote.settings.rollout import SettingsRollout
from agent.remote.settings.run import SettingsRun
from agent.remote.settings.store import FOLDER, SettingsStore
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
    answer: queue.SimpleQueue[NotDoneError | None] = field(default_factory=queue.SimpleQueue)


class SettingsDesk:
    """Belongs to the thread that runs the service, but for `offer`, `propose`, `reload`, `again`, `words`."""

    def __init__(self, folder: Path, ways: Ways, clock: Clock) -> None:
        """`folder` is the station's own, where it keeps its state."""
        self.inbox = folder / INBOX
        self._ways = ways
        self._reported = folder / REPORTED
        self._rollout = SettingsRollout(SettingsStore(folder=folder / FOLDER), ways, clock, told=self.again)
        self._wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()
        self._news = threading.Event()
        self._run: SettingsRun | None = None
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
        self._run = run
        self._rollout.attach(run)
        self._news.set()

    def detach(self) -> None:
        """That run is over."""
        self._run = None
        self._rollout.detach()

    def in_force(self, target: Target) -> None:
        """These settings run."""
        self._rollout.in_force(target)
        self._news.set()

    def failed(self, reason: str) -> Target | None:
        """The target cannot run; what is to run in its place, None where there is nothing else."""
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

    def propose(self, patch: Mapping[str, JsonValue], who: str, onto: str | None = None) -> None:
        """A merge patch onto the settings in force, as an edit; recorded on return. Raises NotDoneError.

        With `onto` only where that is their digest.
        """
        wish = _Wish(patch=patch, who=who, onto=onto)
        self._wishes.put(wish)
        self._wake()
        try:
            refusal = wish.answer.get(timeout=ANSWER_S)
        except queue.Empty:
            raise NotDoneError("occupied", "the station is being changed; ask again after that") from None
        if refusal is not None:
            raise refusal

    def again(self) -> None:
        """There is something new to be said."""
        self._news.set()
        self._wake()

    def turn(self) -> bool:
        """Take what came; whether the settings file was looked at because somebody asked."""
        is_asked = self._rollout.turn()
        with suppress(queue.Empty):
            while True:
                wish = self._wishes.get_nowait()
                wish.answer.put(self._rollout.wish(wish.patch, wish.who, wish.onto))
        if self._news.is_set() and self._run is not None:
            self._news.clear()
            self._say(self._run)
        return is_asked

    def stop(self) -> None:
        """The process ends in order."""
        self._rollout.stop()

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
