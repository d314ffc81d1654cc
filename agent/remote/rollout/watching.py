"""The line with another bundle: whether it stays, and whether the one before judges again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from agent.clock import Clock
from agent.remote.rollout import probation
from agent.remote.rollout.baseline import Baseline, Sample
from agent.remote.rollout.probation import Trial
from agent.remote.rollout.transaction import Breached, Event, Happened, Problem
from agent.settings.remote import Probation

RESTORED_AFTER = 3  # verdicts of the bundle before
RESTORED_S = 60.0  # or so long without any: the line stands
STANDS_S = 86_400.0  # from then on it is said that the line stands
_DAY_S = 86_400.0


class Watching(Protocol):
    """What is looked at after a switch."""

    def look(self, samples: Iterable[Sample]) -> Event | None:
        """With what has been recorded since; what comes of it, if anything."""

    def words(self) -> str:
        """How it stands."""

    def share(self) -> float:
        """How much of it is over, 0 to 1."""

    def stands(self) -> bool:
        """Whether no verdict has come for so long that people should know."""


@dataclass(slots=True, kw_only=True)
class OnProbation:
    """The target serves; it stays, or it goes."""

    transaction: str
    target: str
    baseline: Baseline | None
    limits: Probation
    clock: Clock
    began_ns: int
    trial: Trial = field(default_factory=Trial)

    def look(self, samples: Iterable[Sample]) -> Event | None:
        for one in samples:
            if one.bundle == self.target:
                self.trial = self.trial.after(one, self.baseline, self.limits)
        found = probation.assess(self.trial, self.baseline, self.limits)
        if found.what == "breach":
            problem = Problem(code=422, message=f"on probation: {found.words}")
            return Breached(transaction=self.transaction, problem=problem)
        days = self.limits.max_standing_days
        if found.what == "stable" or (days is not None and self._for_s() > days * _DAY_S):
            return Happened(what="stable", transaction=self.transaction)
        return None

    def words(self) -> str:
        return probation.assess(self.trial, self.baseline, self.limits).words

    def share(self) -> float:
        return probation.progress(self.trial, self.limits)

    def stands(self) -> bool:
        last_ns = self.began_ns if self.trial.last_ns is None else self.trial.last_ns
        return (self.clock.monotonic_ns() - last_ns) / 1e9 > STANDS_S

    def _for_s(self) -> float:
        return (self.clock.monotonic_ns() - self.began_ns) / 1e9


@dataclass(slots=True, kw_only=True)
class GoingBack:
    """The bundle before has been put in force again."""

    transaction: str
    previous: str
    clock: Clock
    began_ns: int
    verdicts: int = 0

    def look(self, samples: Iterable[Sample]) -> Event | None:
        self.verdicts += sum(one.bundle == self.previous for one in samples)
        is_late = (self.clock.monotonic_ns() - self.began_ns) / 1e9 > RESTORED_S
        if self.verdicts >= RESTORED_AFTER or is_late:
            return Happened(what="restored", transaction=self.transaction)
        return None

    def words(self) -> str:
        return f"going back: {self.verdicts} of {RESTORED_AFTER} verdicts"

    def share(self) -> float:
        return min(1.0, self.verdicts / RESTORED_AFTER)

    def stands(self) -> bool:
        return False
