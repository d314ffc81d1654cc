"""Recipes of fake engines, as the tests of the line want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.contract.verdict import SettingsMessage
from agent.engines.engine import Engine
from agent.line.judge import Rules
from agent.line.recipe import Recipe
from agent.settings.settings import Crops
from tests.fakes import STRIDE_PX, FakeEngine, spec


def rules(
    *,
    threshold: float = 0.5,
    calibrated: Mapping[str, float] | None = None,
    max_invalid_ratio: float = 0.02,
    max_windows: int = 1,
) -> Rules:
    """What the fake engine's maps are judged by."""
    return Rules(
        threshold=threshold,
        calibrated=calibrated or {},
        scale=1.0,
        stride_px=STRIDE_PX,
        min_area_px=1,
        max_invalid_ratio=max_invalid_ratio,
        max_windows=max_windows,
    )


def recipe(
    engine: Engine | None = None,
    *,
    name: str = "cells",
    sha256: str = "ab" * 32,
    revision: int = 12,
    tile_px: int = 32,
    overlap_px: int = 4,
    judged_by: Rules | None = None,
    crops: Crops | None = None,
    cameras: Sequence[str] = ("top", "bottom", "left", "right", "simulated"),
) -> Recipe:
    """Of a bundle `name`, by default judged at 0.5 by a fake engine of its own."""
    return Recipe(
        bundle=name,
        bundle_sha256=sha256,
        input=spec(tile_px=tile_px, overlap_px=overlap_px),
        engine=engine or FakeEngine(tile_px=tile_px),
        rules=dict.fromkeys(cameras, judged_by or rules()),
        crops=crops or Crops(),
        settings=SettingsMessage(version=revision, sha256=f"{revision:064x}"),
    )
