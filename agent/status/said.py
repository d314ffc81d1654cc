"""What a station says of itself: the status message, and what the page calls serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version

from pydantic import JsonValue

from agent.clock import Clock, rfc3339
from agent.contract import payloads
from agent.engines.switch import NONE
from agent.line.holds import Holds
from agent.line.recipe import Recipe
from agent.status.snapshot import Serving

VERSION = version("plumbline")  # once: it reads a file, and the last status must need none


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Of one run of the agent; `recipe` gives the one in force."""

    station: str
    boot_id: str
    recipe: Callable[[], Recipe]
    holds: Holds
    clock: Clock

    def message(self, state: payloads.StatusName, reason: str | None) -> bytes:
        """As of now."""
        return self._encoded(state, reason, rfc3339(self.clock.utc_now()), self.engine())

    def last_will(self) -> bytes:
        """What the broker says when the connection is lost."""
        return self._encoded("offline", "connection lost", None, None)

    def engine(self) -> str | None:
        """That serves now; None while there is none."""
        described = self.recipe().engine.describe()
        return None if described == NONE else described.name

    def serving(self, camera: str) -> Serving | None:
        """What judges this camera's frames now, and at which threshold; None for nothing."""
        recipe = self.recipe()
        if not recipe.has_model:
            return None
        engine = recipe.engine.describe()
        return Serving(
            engine=engine.name,
            bundle=recipe.bundle,
            bundle_sha256=recipe.bundle_sha256,
            threshold=recipe.rules_of(camera).threshold_in(engine.precision),
            provisional_rate=recipe.provisional_rate_of(camera),
        )

    def in_force(self, cameras: Iterable[str]) -> dict[str, JsonValue]:
        """What judges, for who asks."""
        recipe = self.recipe()
        serving = {camera: self.serving(camera) for camera in cameras}
        return {
            "bundle": recipe.bundle_sha256,
            "settings": recipe.settings.sha256,
            "recipe": recipe.name,
            "thresholds": {camera: one.threshold for camera, one in serving.items() if one is not None},
        }

    def judges(self, cameras: Iterable[str]) -> list[dict[str, JsonValue]]:
        """The bundle, engine and threshold of each camera that has a model."""
        found = [(camera, self.serving(camera)) for camera in cameras]
        return [{"camera": camera, **asdict(one)} for camera, one in found if one is not None]

    def _encoded(
        self, state: payloads.StatusName, reason: str | None, since: str | None, engine: str | None
    ) -> bytes:
        recipe = self.recipe()
        return payloads.encode(
            payloads.Status(
                state=state,
                reason=reason,
                station=self.station,
                boot_id=self.boot_id,
                versions={"plumbline": VERSION},
                bundle_sha256=recipe.bundle_sha256 or None,
                settings_sha256=recipe.settings.sha256,
                engine=engine,
                since=since,
                paused=self.holds.paused,
                disabled=self.holds.disabled,
            )
        )
