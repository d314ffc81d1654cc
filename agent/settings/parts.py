"""Settings of part rules: which views of several cameras are of one part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from agent.settings.camera import Camera, FolderSource, VideoSource
from agent.settings.section import Identifier, Section

MAX_RULES = 8


class PartRule(Section):
    """One verdict of a part for the views of all cameras that name this rule as their `part_rule`."""

    name: Identifier
    by: Literal["trigger", "part_id", "encoder", "message"]
    timeout_s: float = Field(1.0, ge=0.01, le=600)
    window_ticks: int = Field(0, ge=0, le=2_000_000_000)

    @model_validator(mode="after")
    def _has_a_window_by_encoder(self) -> PartRule:
        if (self.by == "encoder") != (self.window_ticks > 0):
            raise ValueError(
                "window_ticks is how far two views of one part may lie apart by encoder; set it above 0 with"
                " by: encoder, and leave it out else"
            )
        return self


def check_rules(rules: Sequence[PartRule], cameras: Sequence[Camera]) -> None:
    """Raises ValueError where rules and the cameras that name them do not fit."""
    names = [rule.name for rule in rules]
    by_encoder = {rule.name for rule in rules if rule.by == "encoder"}
    for camera in cameras:
        rule_name = camera.part_rule
        if rule_name is not None and rule_name not in names:
            known = ", ".join(names) or "none"
            raise ValueError(
                f"camera {camera.name!r} names part_rule {rule_name!r}, which is not there; there are {known}"
            )
        if rule_name in by_encoder and isinstance(camera.source, FolderSource | VideoSource):
            raise ValueError(
                f"camera {camera.name!r} is of kind {camera.source.kind} and brings no encoder count, by "
                f"which part rule {rule_name!r} goes"
            )
        if camera.offset_ticks and rule_name not in by_encoder:
            raise ValueError(
                f"camera {camera.name!r} has offset_ticks, which counts with a part_rule by encoder; set "
                "that, or remove offset_ticks"
            )
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"part rule {name!r} stands twice; names are topics and must differ")
        if cameras and [camera.part_rule for camera in cameras].count(name) < 2:
            raise ValueError(
                f"part rule {name!r} is the part_rule of fewer than two cameras, and the verdict of one is "
                "that of the part already; name the rule at every camera that sees the part, or remove it"
            )
