"""A station whose settings name a bundle that nobody installs: it says so to whoever wants another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from agent.bundle.bundle import Bundle
from agent.clock import Clock, rfc3339
from agent.contract.reported import BundleAttempt, BundleRef, BundleReport
from agent.foreign import stored
from agent.remote.rollout import bundle_report
from agent.remote.rollout.offers import unread
from agent.remote.rollout.orders import Reply, Said, Standing, nobody
from agent.remote.rollout.transaction import Outcome, Problem


class NoDepot:
    """`Rollouts` that refuse everything, and nothing goes on."""

    def __init__(
        self, setting: Path, serves: Callable[[], Bundle], clock: Clock, *, changed: Callable[[], None]
    ) -> None:
        """`serves` gives the bundle in force; `changed` is called when `report` says something new."""
        self._problem = Problem(
            code=422,
            message=f"bundle: {stored(str(setting))} is no link that bundles are installed under; set it to "
            "FOLDER/current on this station",
        )
        self._serves = serves
        self._clock = clock
        self._changed = changed
        self._refused = 0
        self._attempted: BundleAttempt | None = None

    @property
    def expiry_checked(self) -> bool:
        return True  # nothing is refused for its age

    @property
    def why_closed(self) -> str | None:
        return self._problem.message

    def take(self, document: bytes, reply: Reply = nobody, base: Path | None = None) -> None:
        if not document:
            return
        self._refused += 1
        refusal = unread(document, self._problem.code, self._problem.message)
        self._attempted = bundle_report.refused(refusal, at=rfc3339(self._clock.utc_now()))
        self._changed()
        reply(self._said())

    def install(self, document: bytes, base: Path | None = None) -> Said:
        return self._said()

    def roll_back(self, who: str, reason: str) -> Said:
        return self._said()

    def adopt(self, source: Path, sha256: str) -> Said:
        return self._said()

    def cancel(self, transaction: str | None = None) -> Said:
        return self._said()

    def standing(self, transaction: str) -> Standing | None:
        return None

    def report(self) -> BundleReport:
        bundle = self._serves()
        name, counter = bundle.manifest.name, bundle.manifest.counter
        return BundleReport(
            active=BundleRef(id=name, sha256=bundle.sha256, counter=counter), attempted=self._attempted
        )

    def words(self) -> tuple[str, ...]:
        return ()

    def ended(self) -> Mapping[str, int]:
        return {"rejected": self._refused, **dict.fromkeys(get_args(Outcome), 0)}

    def is_on_probation(self) -> bool:
        return False

    def run(self, stop: threading.Event) -> None:
        stop.wait()

    def end(self, *, in_order: bool) -> None:
        """Nothing was begun."""

    def _said(self) -> Said:
        return Said(state="rejected", code=self._problem.code, message=self._problem.message)
