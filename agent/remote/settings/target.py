"""What should run, and what a rollout of settings asks of whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.remote.rollout.baseline import Baseline
from agent.remote.rollout.probation import Standing
from agent.remote.settings.desired import Flaw
from agent.settings.settings import Settings
from agent.trust.trust_set import TrustSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Settings that are to be in force; `snapshot` names them, None before anything is kept of them."""

    snapshot: str | None
    settings: Settings


class Trial(Protocol):
    def look(self) -> Standing:
        """How the settings on probation stand."""

    def stands_s(self) -> float:
        """For how many seconds nothing has counted."""


class Running(Protocol):
    """The run that is going on, as far as a change of its settings needs it."""

    def prove(self, wanted: Settings, before: Settings) -> Sequence[Flaw]:
        """What speaks against these settings on this machine; may take long, in a thread of its own.

        Raises HungError where it took too long.
        """

    def begin(self, take: Callable[[], None]) -> str | None:
        """Take documents up, unless a bundle is tried or about to be: why they wait, then."""

    def baseline(self) -> Baseline | None:
        """The health of the settings that run."""

    def trial(self, wanted: Settings, before: Settings, baseline: Baseline | None) -> Trial:
        """Of settings that have just come into force in place of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """To what the settings file says, where it is good on its own, and from data to settings; both raise
    SettingsError. To the keys that may sign, or why there are none and what to do about it.
    """

    file: Callable[[], dict[str, Any]]
    settings: Callable[[Mapping[str, Any]], Settings]
    trust: Callable[[Settings], TrustSet | str]
