"""What judges a frame: one frozen object, exchanged whole between two frames.

All that a verdict depends on besides the pixels stands here, so that a record can name it and no frame is cut
by one model's measures and judged by another's threshold. `Line.take_over` puts another one in force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from agent.bundle.bundle import Bundle, InputSpec, open_bundle
from agent.bundle.trust import require_trusted
from agent.contract.verdict import ModelMessage, SettingsMessage
from agent.engines.engine import Engine
from agent.errors import PlumblineError
from agent.line.ignore import Ignore, Polygon
from agent.line.judge import Rules
from agent.settings import recipes, settings
from agent.settings.camera import Camera
from agent.track.track import scale_of

DEFAULT = "default"  # the recipe of a station that names none


class RecipeError(PlumblineError):
    """The recipe cannot judge here; says for what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLabels:
    """Which label set names the defects of parts that fail, and how long a record may wait for it."""

    sha256: str
    within_ms: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Of a whole station: the same for all its cameras but for their rules."""

    bundle: str  # its name
    bundle_sha256: str  # empty where none judges
    input: InputSpec  # how a frame becomes tiles
    engine: Engine  # mostly a `Switch`: which engine and precision served is told by each answer
    rules: Mapping[str, Rules]  # by camera
    crops: settings.Crops
    settings: SettingsMessage
    provisional_rate: float | None = None  # of the bundle's threshold
    own_thresholds: frozenset[str] = frozenset()  # of cameras where the bundle's is not the one that judges
    labels: WantedLabels | None = None  # named by the settings, whose digest holds for it
    name: str = DEFAULT  # `recipe_id` of the records; empty in those of parts that no recipe is for

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that decides: two recipes that have it in common judge alike on the same engine.

        Of the canonical JSON of `bundle` (the manifest's digest, which names weights, input and thresholds),
        `settings` (their digest), `rules` by camera, and `crops`, and of a station with recipes `name`.
        Engines are left out: records name them.
        """
        named = {} if self.name == DEFAULT else {"name": self.name}
        content = {
            **named,
            "bundle": self.bundle_sha256,
            "settings": self.settings.sha256,
            "rules": {camera: _plain(rules) for camera, rules in self.rules.items()},
            "crops": self.crops.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def has_model(self) -> bool:
        """False where no bundle is whole: nothing is judged then."""
        return self.bundle_sha256 != ""

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

    def provisional_rate_of(self, camera: str) -> float | None:
        """Of the threshold that judges this camera's frames; None where it keeps its target."""
        return None if camera in self.own_thresholds else self.provisional_rate

    def model(self, engine: str, camera: str) -> ModelMessage:
        """What a camera's record says of the model, and of the engine that judged."""
        return ModelMessage(
            bundle=self.bundle,
            sha256=self.bundle_sha256,
            engine=engine,
            provisional_rate=self.provisional_rate_of(camera),
            labels_sha256=None if self.labels is None else self.labels.sha256,
        )


def make_recipe(
    wanted: settings.Settings, bundle: Bundle, engine: Engine, own: recipes.Recipe | None = None
) -> Recipe:
    """These settings with a bundle and an engine that are open; `own` is what one of their recipes says."""
    manifest = bundle.manifest
    given = {} if own is None else {one.camera: one for one in own.cameras}
    told = {one.name: given.get(one.name, recipes.OfCamera(camera=one.name)) for one in wanted.cameras}
    # The station's threshold was set for the station's bundle.
    station = wanted.judge.threshold if own is None or own.bundle is None else None
    thresholds = {  # they hold in every precision
        name: threshold
        for name, one in told.items()
        if (threshold := station if one.threshold is None else one.threshold) is not None
    }
    return Recipe(
        bundle=manifest.name,
        bundle_sha256=bundle.sha256,
        input=manifest.input,
        engine=engine,
        rules={
            camera.name: Rules(
                threshold=thresholds.get(camera.name, manifest.threshold.raw),
                calibrated={} if camera.name in thresholds else bundle.calibrated(),
                scale=manifest.input.scale,
                stride_px=manifest.map.stride_px,
                min_area_px=told[camera.name].min_area_px or wanted.judge.min_area_px,
                max_invalid_ratio=camera.web.max_invalid_ratio,
                max_windows=camera.web.max_windows_per_defect,
                ignore=_ignore(told[camera.name].ignore, camera, manifest.map.top),
            )
            for camera in wanted.cameras
        },
        crops=wanted.crops if own is None or own.crops is None else own.crops,
        settings=SettingsMessage(version=wanted.revision, sha256=wanted.digest()),
        provisional_rate=manifest.threshold.provisional_rate,
        own_thresholds=frozenset(thresholds),
        labels=_labels(wanted, own),
        name=DEFAULT if own is None else own.name,
    )


def dry_recipe(wanted: settings.Settings, bundle: Bundle, engine: Engine) -> tuple[Recipe, float]:
    """What `make_recipe` makes, of settings that may name another bundle than the open one, and the
    threshold that their bundle has of its own. Raises a PlumblineError; nothing comes into force.
    """
    if wanted.bundle != bundle.path:
        bundle = open_bundle(wanted.bundle)
        require_trusted(bundle, wanted.trust)
    return make_recipe(wanted, bundle, engine), bundle.manifest.threshold.raw


def polygon_of(region: recipes.Region, camera: Camera) -> Polygon:
    """In pixels and lines of the camera's parts."""
    scale = scale_of(camera)
    across, down = 1.0, 1.0
    if region.unit == "mm" and scale is not None:  # settings see to it that there is one
        across, down = scale.mm_per_px, scale.mm_per_line
    return tuple((x / across, y / down) for x, y in region.corners)


def _labels(wanted: settings.Settings, own: recipes.Recipe | None) -> WantedLabels | None:
    """The recipe's own set, or the station's where the bundle is, whose features they are."""
    sha256 = wanted.labels.set if own is None or own.bundle is None else None
    if own is not None and own.labels is not None:
        sha256 = own.labels
    return None if sha256 is None else WantedLabels(sha256=sha256, within_ms=wanted.labels.within_ms)


def _ignore(regions: Sequence[recipes.Region], camera: Camera, top: int) -> Ignore | None:
    if not regions:
        return None
    return Ignore(polygons=tuple(polygon_of(one, camera) for one in regions), top=top)


def _plain(rules: Rules) -> dict[str, Any]:
    """Without what most recipes do not have, so that their digests are those of before."""
    return {key: value for key, value in asdict(rules).items() if key != "ignore" or value is not None}
