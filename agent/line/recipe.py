"""What judges a frame: one frozen object, exchanged whole between two frames.

All that a verdict depends on besides the pixels stands here, so that a record can name it and no frame is cut
by one model's measures and judged by another's threshold. `Line.take_over` puts another one in force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from agent.bundle.bundle import Bundle, InputSpec, open_bundle
from agent.bundle.trust import require_trusted
from agent.contract.verdict import ModelMessage, SettingsMessage
from agent.engines.choice import Machine
from agent.engines.engine import Engine
from agent.engines.serving import Serving, make_serving
from agent.engines.switch import Switch
from agent.errors import PlumblineError
from agent.line.judge import Rules
from agent.settings import settings


class RecipeError(PlumblineError):
    """The recipe cannot judge here; says for what it is."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Of a whole station: the same for all its cameras but for their rules."""

    bundle: str  # its name
    bundle_sha256: str
    input: InputSpec  # how a frame becomes tiles
    engine: Engine  # mostly a `Switch`: which engine and precision served is told by each answer
    rules: Mapping[str, Rules]  # by camera
    crops: settings.Crops
    settings: SettingsMessage
    provisional_rate: float | None = None  # of the bundle's threshold, where that is the one that judges

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that decides: two recipes that have it in common judge alike on the same engine.

        Of the canonical JSON of `bundle` (the manifest's digest, which names weights, input and thresholds),
        `settings` (their digest), `rules` by camera, and `crops`. Engines are left out: records name them.
        """
        content = {
            "bundle": self.bundle_sha256,
            "settings": self.settings.sha256,
            "rules": {camera: asdict(rules) for camera, rules in self.rules.items()},
            "crops": self.crops.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def rules_of(self, camera: str) -> Rules:
        """Raises RecipeError for a camera that it does not know."""
        try:
            return self.rules[camera]
        except KeyError:
            known = ", ".join(self.rules)
            raise RecipeError(
                f"the recipe of bundle {self.bundle} has no rules for camera {camera}, only for {known}; "
                "name the camera in its settings"
            ) from None

    def model(self, engine: str) -> ModelMessage:
        """What a record says of the model, and of the engine that judged."""
        return ModelMessage(
            bundle=self.bundle,
            sha256=self.bundle_sha256,
            engine=engine,
            provisional_rate=self.provisional_rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A recipe that is ready to judge, and the owner of its engines, which is to run beside the lines."""

    recipe: Recipe
    bundle: Bundle
    engine: Switch
    serving: Serving


def open_recipe(wanted: settings.Settings, machine: Machine) -> Opened:
    """The recipe of these settings, its bundle read and verified, its best engine that is ready serving.

    Touches nothing of a recipe that is in force. Raises BundleError, NotTrusted or EngineError, which say
    what is wrong.
    """
    bundle = open_bundle(wanted.bundle)
    require_trusted(bundle, wanted.trust)
    engine = Switch()
    serving = make_serving(bundle, wanted.engine, machine, folder=wanted.engine_cache(), switch=engine)
    serving.open_first()
    return Opened(recipe=make_recipe(wanted, bundle, engine), bundle=bundle, engine=engine, serving=serving)


def make_recipe(wanted: settings.Settings, bundle: Bundle, engine: Engine) -> Recipe:
    """These settings with a bundle and an engine that are open."""
    own = wanted.judge.threshold  # it holds in every precision
    manifest = bundle.manifest
    return Recipe(
        bundle=manifest.name,
        bundle_sha256=bundle.sha256,
        input=manifest.input,
        engine=engine,
        rules={
            camera.name: Rules(
                threshold=own or manifest.threshold.raw,
                calibrated={} if own else bundle.calibrated(),
                scale=manifest.input.scale,
                stride_px=manifest.map.stride_px,
                min_area_px=wanted.judge.min_area_px,
                max_invalid_ratio=camera.web.max_invalid_ratio,
                max_windows=camera.web.max_windows_per_defect,
            )
            for camera in wanted.cameras
        },
        crops=wanted.crops,
        settings=SettingsMessage(version=wanted.revision, sha256=wanted.digest()),
        provisional_rate=None if own else manifest.threshold.provisional_rate,
    )


def dry_recipe(wanted: settings.Settings, bundle: Bundle, engine: Engine) -> tuple[Recipe, float]:
    """What `make_recipe` makes, of settings that may name another bundle than the open one, and the
    threshold that their bundle has of its own. Raises a PlumblineError; nothing comes into force.
    """
    if wanted.bundle != bundle.path:
        bundle = open_bundle(wanted.bundle)
        require_trusted(bundle, wanted.trust)
    return make_recipe(wanted, bundle, engine), bundle.manifest.threshold.raw
