"""The lines as a rollout sees them: bundles are opened, take over and go back, while the line judges."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from agent.engines.engine import EngineError
from agent.line.recipes import Recipes

LOOK_EVERY_S = 0.1
READY_S = 3600.0  # an engine is compiled on this device, where it is not in the cache


class Stage:
    """What it opened stays open, and so does the bundle that another took over from, until `let_go`."""

    def __init__(
        self,
        recipes: Recipes,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recipes = recipes
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._kept: set[str] = set()

    def open(self, path: Path) -> None:
        """Have this bundle ready beside those that are, its best engine too; it may be so already.

        Takes minutes where an engine is compiled. Raises BundleError, NotTrusted, NoRoomError or EngineError.
        """
        opened = self._recipes.bundles.open(path)
        self._kept.add(opened.sha256)
        ends_s = self._monotonic_s() + READY_S
        while not opened.serving.is_settled:
            if opened.stop.is_set() or self._monotonic_s() > ends_s:
                words = "; ".join(opened.serving.words()) or "the agent stops"
                self._let_go(opened.sha256)
                raise EngineError(f"{path}: its engine is not ready: {words}")
            self._sleep(LOOK_EVERY_S)

    def take_over(self, sha256: str) -> None:
        """Every line judges by this open bundle from its next frame or part on. Raises NotOpenError."""
        before = self.in_force()
        if before is not None and self._recipes.bundles.keep(before):
            self._kept.add(before)
        self._recipes.take_over_bundle(sha256)

    def withdraw(self) -> None:
        """No bundle judges from the next frame on; every trigger still gets its record."""
        self._recipes.withdraw()

    def in_force(self) -> str | None:
        """The bundle that the lines judge by; None for none."""
        return self._recipes.in_force.bundle_sha256 or None

    def used(self) -> frozenset[str]:
        """Every bundle that the lines judge by or may come to judge by."""
        return self._recipes.needed()

    def let_go(self) -> None:
        """The trial is over: what no line judges by and no recipe names is closed."""
        for sha256 in list(self._kept):
            self._let_go(sha256)

    def _let_go(self, sha256: str) -> None:
        self._kept.discard(sha256)
        self._recipes.bundles.drop(sha256)
