"""The lines of a running station as a rollout sees them: bundles that are ready, and the one in force."""

from __future__ import annotations

from pathlib import Path

from agent.clock import Clock
from agent.line.opened import NoRoomError
from agent.line.recipes import Recipes
from agent.remote.rollout.means import NotReadyError

SETTLED_WITHIN_S = 1800.0  # an engine that is being compiled; after that the one beside it has to do
LOOK_EVERY_S = 0.5


class Lines:
    """A `Stage`; it keeps open what it has opened until the rollout is over."""

    def __init__(self, recipes: Recipes, clock: Clock) -> None:
        self._recipes = recipes
        self._clock = clock
        self._kept: set[str] = set()

    def open(self, path: Path) -> None:
        try:
            opened = self._recipes.bundles.open(path)
        except NoRoomError as error:
            raise NotReadyError(str(error)) from error
        self._kept.add(opened.sha256)
        end_ns = self._clock.monotonic_ns() + round(SETTLED_WITHIN_S * 1e9)
        while not opened.serving.is_settled and self._clock.monotonic_ns() < end_ns:
            self._clock.sleep(LOOK_EVERY_S)

    def take_over(self, sha256: str) -> None:
        """The bundle before stays open, for the way back."""
        before = self._recipes.station
        if before.sha256 != sha256 and self._recipes.bundles.keep(before.sha256):
            self._kept.add(before.sha256)
        self._recipes.take_over_bundle(sha256)

    def withdraw(self) -> None:
        self._recipes.withdraw()

    def in_force(self) -> str | None:
        return self._recipes.station.sha256 or None

    def settle(self) -> None:
        for sha256 in self._kept:
            self._recipes.bundles.drop(sha256)
        self._kept.clear()

    def used(self) -> frozenset[str]:
        return self._recipes.needed() - {""}
