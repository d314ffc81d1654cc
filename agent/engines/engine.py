"""What every engine is: uint8 tiles in, scores, maps and restorations out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agent.bundle import Bundle
from agent.errors import PlumblineError
from agent.messages import Floats, Pixels

BATCHES = (4, 1)  # the only batch sizes an engine is asked for, largest first


class EngineError(PlumblineError):
    """The engine cannot be opened or does not reproduce the bundle; says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Named in status and in every verdict."""

    name: str  # such as openvino-bf16
    runtime: str  # and its version
    device: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One batch's results."""

    scores: Floats  # (N,)
    maps: Floats  # (N, h, w)
    restored: Pixels  # (N, H, W, C)


class Engine(Protocol):
    """Opened by a function of its file; safe from any thread, one batch at a time."""

    def run(self, tiles: Pixels) -> Answer:
        """Judge 1 or 4 tiles, uint8 (N, H, W, C)."""

    def describe(self) -> Description: ...

    def close(self) -> None: ...


def golden_difference(engine: Engine, bundle: Bundle) -> float:
    """Largest difference from a golden score, by `largest_difference`."""
    tiles, expected = bundle.golden()
    found = np.concatenate([engine.run(tile[None]).scores for tile in tiles])
    return largest_difference(found, expected, bundle.manifest.threshold.raw)


def largest_difference(found: Floats, expected: Floats, threshold: float) -> float:
    """Of two times the same scores, as a share of the threshold or of an expected score above it.

    Rounding grows with the score: a made-up tile at 50 thresholds may differ by more than one near it.
    """
    return float((np.abs(found - expected) / np.maximum(expected, threshold)).max())


def tolerance(engine: Engine, bundle: Bundle) -> float:
    """The manifest's, for this engine's precision."""
    golden = bundle.manifest.golden
    return golden.tolerance_f32 if engine.describe().precision == "f32" else golden.tolerance_bf16


def check_golden(engine: Engine, bundle: Bundle) -> float:
    """The golden difference. Raises EngineError when it is over the manifest's tolerance."""
    difference, allowed = golden_difference(engine, bundle), tolerance(engine, bundle)
    if not difference <= allowed:
        raise EngineError(
            f"{engine.describe().name}: golden scores of {bundle.path} differ by a share of "
            f"{difference:.4f}, allowed {allowed}; this machine does not give the same, use another engine"
        )
    return difference
