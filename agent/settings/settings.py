"""Settings: one YAML file to one frozen tree, every problem named with its line.

Defaults live here; `config/agent.yaml` repeats them with a comment for each key, and a test
holds the two together. Secrets never stand in the file: a key names the file that has them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypedDict

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from agent.address import masked_text
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded, strict_yaml
from agent.settings.archive import Archive
from agent.settings.camera import Camera
from agent.settings.crops import Crops as Crops
from agent.settings.environment import override
from agent.settings.filled import anchored, complete
from agent.settings.gateways import MAX_GATEWAYS, Gateway
from agent.settings.mqtt import Delivery as Delivery
from agent.settings.mqtt import Mqtt as Mqtt
from agent.settings.outputs import MAX_OUTPUTS, Output
from agent.settings.outputs import check as check_outputs
from agent.settings.page import Page as Page
from agent.settings.page import PageProxy as PageProxy
from agent.settings.parts import MAX_RULES, PartRule, check_rules
from agent.settings.places import annotated, places_of
from agent.settings.problems import Places, problems_of, unusable_texts
from agent.settings.recipes import MAX_RECIPES, Recipe, check
from agent.settings.remote import Remote
from agent.settings.section import FRAME, Digest, Identifier
from agent.settings.section import Section as _Section
from agent.settings.shape import Keys

Precision: TypeAlias = Literal["auto", "f32", "bf16", "f16", "int8"]


class SettingsError(PlumblineError):
    """The settings cannot be used; `problems` has one line for each reason, `found` those of the data."""

    def __init__(self, problems: list[str], found: Sequence[tuple[Keys, str]] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.found = found


class Identity(_Section):
    """Where this agent stands in the plant; the topic tree and the MQTT client id follow from it."""

    site: Identifier = "site"
    area: Identifier = "area"
    line: Identifier = "line"
    station: Identifier = "station"


class Line(_Section):
    """Flow control between camera and line."""

    mode: Literal["live", "accountable"] = "accountable"
    ring_frames: int = Field(64, ge=1, le=4096)


class Engine(_Section):
    kind: Literal["auto", "tensorrt", "torch_tensorrt", "openvino", "onnxruntime", "eager"] = "auto"
    device: Literal["auto", "cuda", "cpu"] = "auto"
    precision: Precision = "auto"
    threads: int = Field(0, ge=0, le=256)
    workspace_bytes: int = Field(1_073_741_824, ge=16_777_216)
    cache: Path | None = None
    cache_max_bytes: int = Field(1_000_000_000, ge=0)
    open_bundles_max_bytes: int = Field(2_000_000_000, ge=0)


class Trust(_Section):
    """Which bundles may run."""

    file: Path | None = None
    keys: tuple[Path, ...] = Field((), max_length=16)
    lowest_counter: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_says_who_signs(self) -> Trust:
        if self.file is not None and self.keys:
            raise ValueError("file and keys both say who may sign bundles; remove keys, or set file to null")
        return self


class Judge(_Section):
    threshold: float | None = Field(None, ge=1e-6, le=1e6)
    min_area_px: int = Field(16, ge=1)


class Labels(_Section):
    """Which label set names the defects of parts that fail, and how long their records may wait for it."""

    set: Digest | None = None
    within_ms: int = Field(200, ge=1, le=10_000)


class Outbox(_Section):
    path: Path = Path("plumbline-outbox.sqlite3")
    max_bytes: int = Field(4_000_000_000, ge=10_000_000)
    min_free_bytes: int = Field(500_000_000, ge=0)
    history_days: float = Field(7.0, ge=0, le=366)
    crop_age_days: float = Field(7.0, gt=0, le=366)
    when_full: Literal["hold", "go_on"] = "hold"


class Health(_Section):
    """When the station calls itself degraded though everything is connected."""

    max_unjudged_share: float = Field(0.05, ge=0, le=1)
    drift_good_parts: int = Field(200, ge=0, le=10_000)

    @field_validator("drift_good_parts")
    @classmethod
    def _enough_or_none(cls, parts: int) -> int:
        if 0 < parts < 50:
            raise ValueError("fewer than 50 tell no change from chance; set 50 or more, or 0 for off")
        return parts


class Logs(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(_Section):
    """Everything a station can be told. `version` is this file's format, `revision` its content's."""

    version: Literal[1] = 1
    revision: int = Field(0, ge=0, json_schema_extra=FRAME)
    identity: Identity = Identity()
    bundle: Path = Path("bundle")
    trust: Trust = Trust()
    cameras: tuple[Camera, ...] = Field((Camera(),), min_length=1, max_length=16)
    parts: tuple[PartRule, ...] = Field((), max_length=MAX_RULES, validate_default=True)
    line: Line = Line()
    engine: Engine = Engine()
    judge: Judge = Field(Judge(), json_schema_extra=FRAME)
    crops: Crops = Field(Crops(), json_schema_extra=FRAME)
    labels: Labels = Field(Labels(), json_schema_extra=FRAME)
    recipes: tuple[Recipe, ...] = Field((), max_length=MAX_RECIPES, json_schema_extra=FRAME)
    archive: Archive = Archive()
    outbox: Outbox = Outbox()
    delivery: Delivery = Delivery()
    mqtt: Mqtt = Mqtt()
    remote: Remote = Remote()
    gateways: tuple[Gateway, ...] = Field((), max_length=MAX_GATEWAYS)
    outputs: tuple[Output, ...] = Field((), max_length=MAX_OUTPUTS)
    health: Health = Health()
    page: Page = Page()
    logs: Logs = Field(Logs(), json_schema_extra=FRAME)

    @field_validator("cameras")
    @classmethod
    def _names_are_unique(cls, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
        names = [camera.name for camera in cameras]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"camera name {name!r} stands twice; names are topics and must differ")
        return cameras

    @field_validator("parts")
    @classmethod
    def _each_rule_has_cameras(
        cls, parts: tuple[PartRule, ...], info: ValidationInfo
    ) -> tuple[PartRule, ...]:
        check_rules(parts, info.data.get("cameras", ()))
        return parts

    @field_validator("recipes")
    @classmethod
    def _each_product_has_one_recipe(
        cls, recipes: tuple[Recipe, ...], info: ValidationInfo
    ) -> tuple[Recipe, ...]:
        cameras: tuple[Camera, ...] = info.data.get("cameras", ())
        calibrated = {one.name: one.web.mm_per_px is not None for one in cameras}
        for recipe in recipes:
            for one in recipe.cameras if cameras else ():
                if one.camera not in calibrated:
                    raise ValueError(
                        f"recipe {recipe.name!r} names camera {one.camera!r}, which is not there; there are "
                        + ", ".join(calibrated)
                    )
                if any(region.unit == "mm" for region in one.ignore) and not calibrated[one.camera]:
                    raise ValueError(
                        f"recipe {recipe.name!r} ignores regions in mm, and camera {one.camera!r} has no "
                        "web.mm_per_px and mm_per_line; set these, or write the corners in px"
                    )
        check(recipes)
        return recipes

    @field_validator("gateways")
    @classmethod
    def _cursors_are_unique(cls, gateways: tuple[Gateway, ...]) -> tuple[Gateway, ...]:
        names = [gateway.name for gateway in gateways]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"gateway name {name!r} stands twice; names are cursors and must differ")
        return gateways

    @field_validator("outputs")
    @classmethod
    def _each_output_has_its_camera(
        cls, outputs: tuple[Output, ...], info: ValidationInfo
    ) -> tuple[Output, ...]:
        if "cameras" in info.data:
            check_outputs(outputs, info.data["cameras"])
        return outputs

    def engine_cache(self) -> Path:
        """The folder of compiled engines: the one that is set, or `engines` beside the outbox."""
        return self.engine.cache or self.outbox.path.parent / "engines"

    def part_cameras(self) -> dict[str, tuple[str, ...]]:
        """The cameras of each part rule, both in their order."""
        return {
            rule.name: tuple(one.name for one in self.cameras if one.part_rule == rule.name)
            for rule in self.parts
        }

    def digest(self) -> str:
        """SHA-256 of the canonical JSON: two agents with equal settings have equal digests."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `path`, overridden by PLUMBLINE_ variables (`__` goes one level down).

    Relative paths are taken from the file's folder, but for systemd credentials (`%d/...`); what systemd
    has folders for is there where the file does not say (`places`). Raises SettingsError with every problem
    at once, each as `file:line: key.path: message (got value)`.
    """
    return load_with_places(path, environment)[0]


def load_with_places(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[Settings, Places]:
    """As `load`, and where each key was written."""
    data, lines = read(path)
    return made_of(data, name=_named(path), lines=lines, **around(path, environment))


def read(path: Path) -> tuple[dict[str, Any], Mapping[Keys, int]]:
    """What the file at `path` says, and the line of each key; nothing of it is looked at yet.

    Raises SettingsError.
    """
    name = _named(path)
    try:
        text = bounded.text_of(bounded.read(path, max_bytes=strict_yaml.MAX_BYTES))
    except bounded.UnreadableError as error:
        if not os.path.lexists(path):
            raise SettingsError([f"{name}: no such file; start from {annotated()}"]) from None
        remedy = "settings are a small file in UTF-8"
        if isinstance(error.__cause__, PermissionError):
            remedy = "let its group be the agent's, as chgrp plumbline and chmod 640 do"
        raise SettingsError([f"{name}: cannot be read as text: {error}; {remedy}"]) from error
    return _read(text, name)


def parse(text: str, *, name: str, base: Path, environment: Mapping[str, str]) -> Settings:
    """As `load`, from text; `base` is the folder that relative paths start from."""
    data, lines = _read(text, name)
    return made_of(data, name=name, lines=lines, base=base, environment=environment)[0]


class Around(TypedDict):
    """What counts besides the file: where relative paths start, what overrides it, what it need not say."""

    base: Path
    environment: Mapping[str, str]
    defaults: Mapping[tuple[str, ...], str]


def around(path: Path, environment: Mapping[str, str]) -> Around:
    """Of the settings file at `path`."""
    places = places_of(path, environment)
    defaults = {} if places is None else places.defaults()
    return Around(base=path.parent, environment=environment, defaults=defaults)


def made_of(
    data: Mapping[str, Any],
    *,
    name: str,
    lines: Mapping[Keys, int],
    base: Path,
    environment: Mapping[str, str],
    defaults: Mapping[tuple[str, ...], str] = MappingProxyType({}),
) -> tuple[Settings, Places]:
    """Settings of data that stood in `name`, which stays as it is. Raises SettingsError."""
    made = copy.deepcopy(dict(data))
    overridden, bad = override(made, environment, Settings)
    places = Places(name=name, lines=lines, overridden=overridden)
    found = [*unusable_texts(made)]
    complete(made, defaults)
    try:
        # JSON mode: strict about text against number, yet lists are tuples and text is a path.
        settings = Settings.model_validate_json(json.dumps(made), strict=True)
    except ValidationError as error:
        found += problems_of(error, Settings)
    if bad or found:
        raise SettingsError([*bad, *(places.line(keys, words) for keys, words in found)], found)
    return anchored(settings, base), places


def _named(path: Path) -> str:
    return masked_text(shown(str(path)))


def _read(text: str, name: str) -> tuple[dict[str, Any], Mapping[Keys, int]]:
    try:
        data, lines = strict_yaml.load(text, name=name)
    except strict_yaml.YamlError as error:
        raise SettingsError([str(error)]) from error
    if data is None:
        raise SettingsError([f"{name}:1: the file is empty; start from {annotated()}"])
    if not isinstance(data, dict):
        raise SettingsError([f"{name}:1: settings are a mapping of keys, got {type(data).__name__}"])
    return data, lines
